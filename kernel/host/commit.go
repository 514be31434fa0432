package host

import "math"

// Overcommit is the policy of vm.overcommit_memory
// (Documentation/mm/overcommit-accounting.rst).
type Overcommit int64

// The policies.
const (
	OvercommitHeuristic Overcommit = 0 // obvious overcommits are refused
	OvercommitAlways    Overcommit = 1 // nothing is refused
	OvercommitNever     Overcommit = 2 // what goes past the limit is refused
)

// String returns the policy in a word.
func (o Overcommit) String() string {
	switch o {
	case OvercommitHeuristic:
		return "heuristic"
	case OvercommitAlways:
		return "always"
	case OvercommitNever:
		return "never"
	}
	return "unknown"
}

// Commit is how the host accounts for memory that is promised.
type Commit struct {
	Mode Value[Overcommit] `fact:"mode"`
	// Ratio is in percent of the memory; it counts where KBytes is 0.
	Ratio Value[uint64] `fact:"ratio"`
	// KBytes is vm.overcommit_kbytes, in bytes.
	KBytes Value[uint64] `fact:"kbytes"`
	// Limit is CommitLimit. Only [OvercommitNever] holds to it.
	Limit Value[uint64] `fact:"limit"`
	// Committed is Committed_AS: what has been promised. Secret memory, and files in
	// memory that are not allocated yet, are not in it.
	Committed Value[uint64] `fact:"committed"`
	// UserReserve and AdminReserve are kept back under [OvercommitNever].
	UserReserve  Value[uint64] `fact:"user_reserve"`
	AdminReserve Value[uint64] `fact:"admin_reserve"`
}

func (s *session) commit(f *Facts) {
	f.Commit = Commit{
		Mode: read(s.proc("sys", "vm", "overcommit_memory"), func(text string) (Overcommit, error) {
			n, err := parseInt(text, 0, 2)
			return Overcommit(n), err
		}),
		Ratio: read(s.proc("sys", "vm", "overcommit_ratio"), func(text string) (uint64, error) {
			n, err := parseInt(text, 0, math.MaxInt32)
			return uint64(n), err
		}),
		KBytes:       read(s.proc("sys", "vm", "overcommit_kbytes"), parseKiB),
		Limit:        pick(f.Memory.Info, "CommitLimit"),
		Committed:    pick(f.Memory.Info, "Committed_AS"),
		UserReserve:  read(s.proc("sys", "vm", "user_reserve_kbytes"), parseKiB),
		AdminReserve: read(s.proc("sys", "vm", "admin_reserve_kbytes"), parseKiB),
	}
}
