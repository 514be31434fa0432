// Runs a loop until it is compiled, then waits for the end of its input.
function hot(n) {
  let sum = 0;
  for (let i = 0; i < n; i++) sum = (sum * 31 + i) | 0;
  return sum;
}
for (let i = 0; i < 200; i++) hot(100000);
process.stdin.on("end", () => process.exit(0)).resume();
console.log("ready");
