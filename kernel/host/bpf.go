package host

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"syscall"
	"time"

	"github.com/safevma/safevma/guarantee"
	"github.com/safevma/safevma/internal/sys"
)

// BPFProgram is one that is loaded; it need not be attached.
type BPFProgram struct {
	ID uint32 `json:"id"`
	// Type is in the words of enum bpf_prog_type, such as "raw_tracepoint"; "type 40"
	// where it is not known here.
	Type string `json:"type"`
	Name string `json:"name"`
	// Tag is the hash of its instructions.
	Tag string `json:"tag"`
	// UID is of who loaded it.
	UID uint32 `json:"uid"`
	// Loaded is when, since the boot.
	Loaded time.Duration `json:"loaded_ns"`
	Reach  Reach         `json:"reach"`
}

// Reach is whose memory a BPF program of a type can read.
type Reach string

// The reaches. With CAP_PERFMON a program of any type may read user memory
// (bpf_probe_read_user, by bpf_base_func_proto in kernel/bpf/helpers.c): the types
// differ in whose memory that is.
const (
	// ReachTraced: it runs in the context of the processes that it traces, and reads
	// their memory.
	ReachTraced Reach = "traced processes"
	// ReachCurrent: it runs for a packet, a device or another event, in whatever process
	// is there at that time; it can read user memory where CAP_PERFMON was there when it
	// was loaded.
	ReachCurrent Reach = "whatever process it runs in"
	// ReachUnknown: its type is newer than this list.
	ReachUnknown Reach = "unknown"
)

// bpfTypes are enum bpf_prog_type of include/uapi/linux/bpf.h, in its order.
var bpfTypes = strings.Fields(`unspec socket_filter kprobe sched_cls sched_act tracepoint xdp perf_event cgroup_skb
	cgroup_sock lwt_in lwt_out lwt_xmit sock_ops sk_skb cgroup_device sk_msg raw_tracepoint cgroup_sock_addr
	lwt_seg6local lirc_mode2 sk_reuseport flow_dissector cgroup_sysctl raw_tracepoint_writable cgroup_sockopt
	tracing struct_ops ext lsm sk_lookup syscall netfilter`)

func bpfType(number uint32) (string, Reach) {
	if number >= uint32(len(bpfTypes)) {
		return fmt.Sprintf("type %d", number), ReachUnknown
	}
	switch name := bpfTypes[number]; name {
	case "kprobe", "tracepoint", "perf_event", "raw_tracepoint", "raw_tracepoint_writable", "tracing", "lsm":
		return name, ReachTraced
	default:
		return name, ReachCurrent
	}
}

const bpfSource = "bpf(BPF_PROG_GET_NEXT_ID)"

// bpfPrograms lists the loaded programs. It needs CAP_SYS_ADMIN.
func (s *session) bpfPrograms() Value[[]BPFProgram] {
	programs, err := s.listBPF()
	if err != nil {
		return unknown[[]BPFProgram](guarantee.Read, bpfSource, "", err)
	}
	return known(programs, guarantee.Read, bpfSource, fmt.Sprintf("%d programs", len(programs)))
}

func (s *session) listBPF() ([]BPFProgram, error) {
	if err := s.experiment(); err != nil {
		return nil, err
	}
	programs := []BPFProgram{}
	for id := uint32(0); ; {
		next, err := sys.BPFProgNext(id)
		if errors.Is(err, syscall.ENOENT) {
			return programs, nil
		}
		if err != nil {
			return nil, err
		}
		if next <= id {
			return nil, malformed("after program %d comes %d", id, next)
		}
		id = next
		p, err := readBPF(id)
		if errors.Is(err, syscall.ENOENT) { // unloaded meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		programs = append(programs, p)
	}
}

func readBPF(id uint32) (BPFProgram, error) {
	prog, err := sys.BPFProgOpen(id)
	if err != nil {
		return BPFProgram{}, err
	}
	defer prog.Close()
	info, err := sys.BPFProgInfo(prog)
	if err != nil {
		return BPFProgram{}, err
	}
	p := BPFProgram{
		ID: info.ID, Name: info.Name(), Tag: hex.EncodeToString(info.Tag[:]),
		UID: info.UID, Loaded: time.Duration(info.LoadTime),
	}
	p.Type, p.Reach = bpfType(info.Type)
	return p, nil
}
