package mutation

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Mutant is one thing that is broken.
type Mutant struct {
	Name   string
	Breaks string // what is taken out, or put in another order
	Edits  []Edit
	// Survives says why no test can, or does, find it. Where it is empty the mutant must be caught.
	Survives string
	// Later: the explorer of crashes is not the first to look for it.
	Later bool
}

// Edit is a change of one file of package pmem. Old stands there exactly once.
type Edit struct{ File, Old, New string }

func one(name, breaks, file, old, changed string) Mutant {
	return Mutant{Name: name, Breaks: breaks, Edits: []Edit{{file, old, changed}}}
}

func (m Mutant) later() Mutant {
	m.Later = true
	return m
}

func (m Mutant) survives(why string) Mutant {
	m.Survives = why
	return m
}

// All returns the mutants, in the order of the table.
func All() []Mutant {
	var all []Mutant
	for _, part := range [][]Mutant{logMutants(), tailMutants(), recoveryMutants(), commitMutants(), readMutants(), checkMutants(), spaceMutants(), failureMutants()} {
		all = append(all, part...)
	}
	return all
}

// Files returns what the files that a mutant changes hold then, by name. An edit whose text is not
// there once is an error: the mutant is out of date.
func (m Mutant) Files(pmem string) (map[string]string, error) {
	files := map[string]string{}
	for _, e := range m.Edits {
		text, ok := files[e.File]
		if !ok {
			b, err := os.ReadFile(filepath.Join(pmem, e.File))
			if err != nil {
				return nil, err
			}
			text = string(b)
		}
		if n := strings.Count(text, e.Old); n != 1 || e.Old == e.New {
			return nil, fmt.Errorf("mutant %q: its text stands %d times in %s, and not once:\n%s", m.Name, n, e.File, e.Old)
		}
		files[e.File] = strings.Replace(text, e.Old, e.New, 1)
	}
	return files, nil
}
