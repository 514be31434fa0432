package mglru

import (
	"fmt"
	"os"
	"strings"
)

// Command asks the kernel to do something with one group on one node: [Age] or [Evict].
type Command struct{ text string }

// String returns the command as the kernel takes it.
func (c Command) String() string { return c.text }

func (c Command) ages() bool { return strings.HasPrefix(c.text, "+") }

// AgeOptions say how to age.
type AgeOptions struct {
	// Swap: look for anonymous pages, too, also where there is no swap.
	Swap bool
	// Force: walk through page tables also where the kernel finds that not worthwhile.
	Force bool
}

// Age makes a new youngest generation. youngest is the number of the one that there is. The
// kernel refuses one that is not there yet (EINVAL); where it has aged meanwhile it does
// nothing (Linux 6.12), or ages again (7.3), and does not say which.
func Age(memcg uint64, node int, youngest uint64, o AgeOptions) Command {
	text := fmt.Sprintf("+ %d %d %d", memcg, node, youngest)
	if o.Swap || o.Force {
		text += fmt.Sprintf(" %d", bit(o.Swap))
	}
	if o.Force {
		text += " 1"
	}
	return Command{text}
}

func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

// Swappiness of 200 means anonymous pages before those of files; 0, files alone.
const swappinessMost = 200

// Evict evicts up to so many pages of generations that are not younger than upTo, which must
// be older than the two youngest (EINVAL otherwise). swappiness is 0 to 200, or -1 for the
// group's own; pages 0 for as many as there are.
func Evict(memcg uint64, node int, upTo uint64, swappiness int, pages uint64) (Command, error) {
	if swappiness < -1 || swappiness > swappinessMost || swappiness < 0 && pages > 0 {
		return Command{}, fmt.Errorf("swappiness %d with %d pages: want 0 to %d, or -1 and all pages", swappiness, pages, swappinessMost)
	}
	text := fmt.Sprintf("- %d %d %d", memcg, node, upTo)
	if swappiness >= 0 {
		text += fmt.Sprintf(" %d", swappiness)
	}
	if pages > 0 {
		text += fmt.Sprintf(" %d", pages)
	}
	return Command{text}, nil
}

// Run runs commands, in order, until one fails. It changes what the kernel reclaims: the
// pages of others, where the group is theirs.
func (f FS) Run(commands ...Command) error {
	file, err := os.OpenFile(f.path("kernel", "debug", "lru_gen"), os.O_WRONLY, 0)
	if err != nil {
		return classify(err)
	}
	for _, c := range commands { // one write each, so that the error is of one
		if _, err := file.WriteString(c.text + "\n"); err != nil {
			file.Close()
			return fmt.Errorf("%s: %w", strings.TrimSpace(c.text), classify(err))
		}
	}
	return file.Close()
}
