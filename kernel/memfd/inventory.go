package memfd

import (
	"cmp"
	"errors"
	"slices"
)

// Process names a process that has to do with a file.
type Process struct {
	PID       int
	StartTime uint64 // clock ticks since boot
	Comm      string // any bytes
}

// File is one memfd or secret memory file and all that was seen of it.
type File struct {
	// Attributes are the latest that were seen; of a file that was only seen mapped ID,
	// Kind and Name alone are known.
	Attributes
	// AttributesErr is nil where all attributes are known, and else [ErrOnlyMapped].
	AttributesErr error

	Holders   []Holder
	Mappers   []Mapper
	Executing []Process
}

// ErrOnlyMapped: nothing but a mapping of the file was seen, which shows neither mode
// nor size nor seals. [Mapped] may find them out.
var ErrOnlyMapped = errors.New("only a mapping of the file was seen")

// Holder is a process that has the file open.
type Holder struct {
	Process
	FDs []Handle
}

// Handle is how a process has the file open.
type Handle struct {
	FD     int
	Thread int // the thread whose table of descriptors it is in
	// Access and CloseOnExec, where InfoErr is nil; else they are unknown.
	Access      Access
	CloseOnExec bool
	InfoErr     error
}

// Mapper is one mapping of the file.
type Mapper struct {
	Process
	Start, End uint64 // [Start, End)
	Perms      string // as /proc/PID/maps has it, such as "rw-s"
	Shared     bool
}

// Mapping is what the list of VMAs says of one mapping.
type Mapping struct {
	Major, Minor uint32
	Inode        uint64
	Path         string // with the escape of a newline undone
	Start, End   uint64
	Perms        string // as /proc/PID/maps has it, such as "rw-s"
}

// Inventory joins what is seen in many processes on the files. The zero value is empty
// and ready. It is for one goroutine at a time.
//
// Processes are read one after the other: a file may be gone, and in principle its inode
// number be used again, before the last one is read.
type Inventory struct {
	files map[ID]*File
}

// AddDescriptor adds an open descriptor of a process.
func (v *Inventory) AddDescriptor(who Process, d Descriptor) {
	f := v.describe(d.Attributes)
	h := Handle{d.FD, d.Thread, d.Access, d.CloseOnExec, d.InfoErr}
	for i, holder := range slices.Backward(f.Holders) {
		if holder.Process == who {
			f.Holders[i].FDs = append(holder.FDs, h)
			return
		}
	}
	f.Holders = append(f.Holders, Holder{who, []Handle{h}})
}

// AddMapping adds a VMA of a process, if it is of a memfd or of secret memory, and
// reports whether it is.
func (v *Inventory) AddMapping(who Process, dev Devices, m Mapping) bool {
	kind := dev.Classify(m.Major, m.Minor, m.Path)
	if !kind.Inventoried() {
		return false
	}
	id := ID{Device{m.Major, m.Minor}, m.Inode}
	f, ok := v.files[id]
	if !ok {
		f = v.add(id)
		f.Attributes = Attributes{ID: id, Kind: kind, Name: fileName(m.Path), SealsErr: ErrOnlyMapped}
		f.AttributesErr = ErrOnlyMapped
	}
	f.Mappers = append(f.Mappers, Mapper{who, m.Start, m.End, m.Perms, len(m.Perms) == 4 && m.Perms[3] == 's'})
	return true
}

// AddExecuting adds a process that runs the file.
func (v *Inventory) AddExecuting(who Process, a Attributes) {
	f := v.describe(a)
	f.Executing = append(f.Executing, who)
}

// Describe adds the attributes of a file, such as those that [Mapped] found out.
func (v *Inventory) Describe(a Attributes) { v.describe(a) }

func (v *Inventory) describe(a Attributes) *File {
	f, ok := v.files[a.ID]
	if !ok {
		f = v.add(a.ID)
	}
	if f.AttributesErr == nil && ok && f.SealsErr == nil && a.SealsErr != nil {
		a.Seals, a.SealsErr = f.Seals, nil // one process let them be read, another did not
	}
	f.Attributes, f.AttributesErr = a, nil
	return f
}

func (v *Inventory) add(id ID) *File {
	if v.files == nil {
		v.files = make(map[ID]*File)
	}
	f := &File{}
	v.files[id] = f
	return f
}

func compareProcess(a, b Process) int {
	return cmp.Or(cmp.Compare(a.PID, b.PID), cmp.Compare(a.StartTime, b.StartTime))
}

// Lookup returns the file with the given id, nil where none was seen. It is valid until
// the next change of the inventory.
func (v *Inventory) Lookup(id ID) *File { return v.files[id] }

// Files returns all files in the order of device and inode, and what was seen of each in
// the order of the processes. The slice is the caller's; the files stay the inventory's.
func (v *Inventory) Files() []*File {
	files := make([]*File, 0, len(v.files))
	for _, f := range v.files {
		f.sort()
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b *File) int {
		return cmp.Or(cmp.Compare(a.ID.Major, b.ID.Major), cmp.Compare(a.ID.Minor, b.ID.Minor), cmp.Compare(a.ID.Inode, b.ID.Inode))
	})
	return files
}

func (f *File) sort() {
	slices.SortFunc(f.Holders, func(a, b Holder) int { return compareProcess(a.Process, b.Process) })
	for _, h := range f.Holders {
		slices.SortFunc(h.FDs, func(a, b Handle) int {
			return cmp.Or(cmp.Compare(a.FD, b.FD), cmp.Compare(a.Thread, b.Thread))
		})
	}
	slices.SortFunc(f.Mappers, func(a, b Mapper) int {
		return cmp.Or(compareProcess(a.Process, b.Process), cmp.Compare(a.Start, b.Start))
	})
	slices.SortFunc(f.Executing, compareProcess)
}
