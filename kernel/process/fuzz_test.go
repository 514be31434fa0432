package process

import (
	"os"
	"testing"
)

func fuzz(f *testing.F, file string, parse func(*Info, []byte) error, check func(*testing.T, *Info)) {
	own, err := os.ReadFile("/proc/self/" + file)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(own)
	f.Fuzz(func(t *testing.T, text []byte) {
		var info Info
		if err := parse(&info, text); err == nil {
			check(t, &info)
		}
	})
}

func FuzzStat(f *testing.F) {
	f.Add([]byte("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 2 0 0 0\n"))
	fuzz(f, "stat", (*Info).parseStat, func(t *testing.T, i *Info) {
		if i.State == 0 {
			t.Error("accepted without a state")
		}
	})
}

func FuzzStatus(f *testing.F) {
	fuzz(f, "status", (*Info).parseStatus, func(*testing.T, *Info) {})
}

func FuzzCgroup(f *testing.F) {
	fuzz(f, "cgroup", (*Info).parseCgroup, func(*testing.T, *Info) {})
}
