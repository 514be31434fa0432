package survival

import (
	"fmt"
	"os"
	"syscall"

	"github.com/safevma/safevma/kernel/process"
	"github.com/safevma/safevma/kernel/vma"
)

// checkSync reports a mapping of a file without MAP_SYNC, by what the kernel says of it. There are
// two, one to read and one to write.
func checkSync(file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	self, err := process.Default().Self()
	if err != nil {
		return err
	}
	defer self.Close()
	var reader vma.Reader
	mappings, inode := 0, info.Sys().(*syscall.Stat_t).Ino
	err = reader.Smaps(self, func(v *vma.VMA) error {
		if v.Inode != inode {
			return nil
		}
		mappings++
		if !v.Flags.Has(vma.FlagSync) {
			return fmt.Errorf("a mapping of %s has the VmFlags %v, and not sf", file, v.Flags)
		}
		return nil
	})
	if err == nil && mappings != 2 {
		err = fmt.Errorf("%s is mapped %d times, and not twice", file, mappings)
	}
	return err
}
