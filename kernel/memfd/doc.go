// Package memfd finds every memfd and every file of secret memory on a host: what
// it may do (mode and seals), who holds it open, who maps it, who runs it; and what
// vm.memfd_noexec really does in a PID namespace.
//
// # Recognition
//
// A name proves nothing: a deleted file called "memfd:x" in the root of a file system
// is shown as "/memfd:x (deleted)", just as a memfd is. The kernel keeps memfds on file
// systems that it mounts for itself alone, where nobody else can create a file, and puts
// the prefix "memfd:" before their names. So a file is a memfd where its device is that
// of a memfd which this process made ([LearnDevices]) and its name begins so
// ([Devices.Classify]): other files on the same device (shared anonymous memory, System V
// shared memory) have names that the kernel gives.
//
// # What is found, and what is not
//
// [Holders] lists the descriptors of one pinned process, [Executing] says whether it
// runs from a memfd, [Mapped] describes a mapping; an [Inventory] joins them over all
// processes, on device and inode. Mappings come from a caller that reads address spaces:
// a memfd whose descriptor was closed is found by its mappings alone. One that is neither
// open, nor mapped, nor run cannot be seen: it is in a message on a socket, or registered
// with an io_uring.
//
// The temporary descriptors that these functions make in their own process are memfds,
// too: whoever scans the process that he is sees them.
//
// Sources: memfd_create(2), memfd_secret(2), fcntl(2), proc_pid_fd(5), and
// Documentation/userspace-api/mfd_noexec.rst.
package memfd
