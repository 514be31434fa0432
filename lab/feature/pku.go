package feature

import "github.com/safevma/safevma/lab/machine"

var pku = Feature{
	Name:   "pku",
	Title:  "protection keys: a thread takes writing to pages from itself (WRPKRU)",
	Source: "pkeys(7)",
	Since:  "6.1",
	needs: func(m machine.Machine) string {
		if m.Arch != "amd64" {
			return "PKRU is a register of amd64, and the machine is " + m.Arch
		}
		return ""
	},
	probe: probePKU,
}
