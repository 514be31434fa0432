package main

import (
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/safevma/safevma/bench/compare"
)

// conditions says where and how a table was measured.
func (o options) conditions(p compare.Place, folder, before string) string {
	medium := ""
	switch p {
	case compare.Memory:
		medium = "Medium: tmpfs in place of DAX. "
	case compare.Disk:
		medium = "Medium: " + compare.Device(folder) + ". "
	}
	trial := ""
	if o.ops != 1 {
		trial = fmt.Sprintf(" **A trial: %g of the operations.**", o.ops)
	}
	return fmt.Sprintf("%sMedians of %d rounds, in each of which all ran in turn; ratios with the least and the most of a round. "+
		"%d CPUs (%s), Linux %s, %s. Load average %s before, %s after.%s",
		medium, o.rounds, runtime.NumCPU(), processor(), kernel(), runtime.Version(), before, load(), trial)
}

// load is the load average of the last minute.
func load() string { return field("/proc/loadavg", 0) }

// kernel is the version without what a distribution adds.
func kernel() string {
	release, _, _ := strings.Cut(field("/proc/sys/kernel/osrelease", 0), "-")
	return release
}

func field(file string, n int) string {
	text, err := os.ReadFile(file)
	fields := strings.Fields(string(text))
	if err != nil || n >= len(fields) {
		return "unknown"
	}
	return fields[n]
}

// processor is the model of the first CPU.
func processor() string {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(text)) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}
