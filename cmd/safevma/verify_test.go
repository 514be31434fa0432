package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/region"
)

// The command verifies the memory of this process, and ends as what it found.
func TestVerifyCommand(t *testing.T) {
	r, err := region.Map(100, region.Resident(), region.NoDump(), region.Guarded())
	if errors.Is(err, region.ErrUnsupported) || errors.Is(err, region.ErrLimit) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	verdicts, err := r.Verify()
	if err != nil {
		t.Fatal(err)
	}
	var start uint64 // the name of the subject says where the data is
	if _, err := fmt.Sscanf(verdicts[0].Subject.Name[strings.Index(verdicts[0].Subject.Name, " at "):], " at %x,", &start); err != nil {
		t.Fatal(err)
	}
	at := fmt.Sprintf("%x-%x", start&^4095, start|4095)
	for args, want := range map[string]int{
		"":                           0,
		"--require NoDump,NoSwap":    0,
		"--require Sealed":           exitFindings,
		"--require Nothing":          exitUsage,
		"--at 10":                    exitUsage,
		"--at 1000-2000":             exitNotMeasurable,
		"--require Secret -o json":   exitFindings,
		"--require Resident -o json": 0,
	} {
		line := append([]string{"verify", strconv.Itoa(os.Getpid())}, strings.Fields(args)...)
		if !strings.Contains(args, "--at") {
			line = append(line, "--at", at)
		}
		cmd := exec.Command("safevma", line...)
		var out bytes.Buffer
		cmd.Stdout = &out
		status, said := ended(t, cmd)
		if status == exitNotMeasurable && strings.Contains(said, "denied") {
			t.Skip(said)
		}
		if status != want {
			t.Errorf("safevma %s: exit status %d, want %d: %s%s", line, status, want, said, out.String())
		}
		if strings.Contains(args, "json") {
			if err := validate("verdicts-v1", out.String()); err != nil {
				t.Errorf("safevma %s: %v", line, err)
			}
			var report guarantee.Report
			if err := json.Unmarshal(out.Bytes(), &report); err != nil || report.Schema != guarantee.Schema || len(report.Verdicts) == 0 {
				t.Errorf("safevma %s: %v, %d verdicts", line, err, len(report.Verdicts))
			}
		}
	}
}
