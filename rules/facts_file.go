package rules

// Inode is what is known of one file, memfd or other memory object that processes map:
// the mappings of all processes that were read, joined on device and inode number.
type Inode struct {
	// Device as "major:minor", decimal.
	Device string `cel:"device" source:"maps"`
	// Inode number.
	Inode int64 `cel:"inode" source:"maps"`
	// Path, as the first of the mappings names it.
	Path string `cel:"path" source:"maps"`
	// What it is, one of the kinds below.
	Kind string `cel:"kind" source:"maps"`
	// Processes with a writable shared mapping of it.
	Writers []int `cel:"writers" source:"maps"`
	// Processes with an executable mapping of it, shared or private.
	Executors []int `cel:"executors" source:"maps"`
	// Some process executes it while another one can write it.
	CrossProcess bool `cel:"cross_process" source:"maps"`
	// A declared process maps it.
	Declared bool `cel:"declared" source:"the user"`

	// Unknown names the facts that could not be read, and why; see [Facts].
	Unknown map[string]string `cel:"-"`
}

// Memfd is what is known of one memfd, or of one object of secret memory.
type Memfd struct {
	// Name that its maker gave it, without "memfd:"; empty for secret memory.
	Name string `cel:"name" source:"fd"`
	// "memfd", "hugetlb" (a memfd of huge pages) or "secretmem".
	Kind string `cel:"kind" source:"fd"`
	// Device as "major:minor", decimal.
	Device string `cel:"device" source:"fd"`
	// Inode number.
	Inode int64 `cel:"inode" source:"fd"`
	// Length in bytes.
	Size int64 `cel:"size" source:"fd"`
	// Bytes that are allocated.
	Allocated int64 `cel:"allocated" source:"fd"`
	// Permission bits, such as 511 for 0777.
	Mode int64 `cel:"mode" source:"fd"`
	// Owner.
	UID int64 `cel:"uid" source:"fd"`
	// The mode has an executable bit: execve(2) runs it.
	Executable bool `cel:"executable" source:"fd"`
	// Seals: "seal", "shrink", "grow", "write", "future_write", "exec"; see
	// F_ADD_SEALS(2const).
	Seals []string `cel:"seals" source:"F_GET_SEALS"`
	// Processes that hold a file descriptor of it.
	Holders []int `cel:"holders" source:"fd"`
	// Processes that map it.
	Mappers []int `cel:"mappers" source:"maps"`
	// Processes that map it executable.
	ExecMappers []int `cel:"exec_mappers" source:"maps"`
	// Processes that map it shared and writable.
	WritableMappers []int `cel:"writable_mappers" source:"maps"`
	// Processes whose program it is.
	Executing []int `cel:"executing" source:"exe"`
	// A declared process holds, maps or executes it.
	Declared bool `cel:"declared" source:"the user"`

	// Unknown names the facts that could not be read, and why; see [Facts].
	Unknown map[string]string `cel:"-"`
}

// PIDNamespace is what is known of one PID namespace.
type PIDNamespace struct {
	// Inode number of the namespace.
	Inode int64 `cel:"inode" source:"ns/pid"`
	// Processes seen in it.
	Processes int64 `cel:"processes" source:"ns/pid"`
	// vm.memfd_noexec as a process in it sees it: 0, 1 or 2.
	MemfdNoexec int64 `cel:"memfd_noexec" source:"sys/vm/memfd_noexec"`
	// memfd_create(MFD_EXEC) was tried in it and refused.
	ExecRefused bool `cel:"exec_refused" source:"an attempt"`
	// Its memfd_noexec can be lowered from inside. Known to be false where the namespace
	// above has the same value; elsewhere it is unknown, since it is not tried.
	Lowerable bool `cel:"lowerable" source:"sys/vm/memfd_noexec of the namespace above"`
	// It is the namespace of the reader.
	Own bool `cel:"own" source:"ns/pid"`
	// A declared process lives in it.
	Declared bool `cel:"declared" source:"the user"`

	// Unknown names the facts that could not be read, and why; see [Facts].
	Unknown map[string]string `cel:"-"`
}
