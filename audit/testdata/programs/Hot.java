/** Runs a loop until it is compiled, then waits for the end of its input. */
class Hot {
    static int hot(int n) {
        int sum = 0;
        for (int i = 0; i < n; i++) {
            sum = sum * 31 + i;
        }
        return sum;
    }

    public static void main(String[] args) throws java.io.IOException {
        int sum = 0;
        for (int i = 0; i < 2000; i++) {
            sum += hot(10000);
        }
        System.out.println("ready " + sum);
        while (System.in.read() >= 0) {
        }
    }
}
