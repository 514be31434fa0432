package feature

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/safevma/safevma/internal/sys"
)

const (
	damonSource = "Documentation/admin-guide/mm/damon/usage.rst"
	damonRisk   = "it starts a kdamond, and DAMON's sysfs interface has one owner on a host"
	damonSince  = "6.12" // 6.1 is built without DAMON
)

var (
	damonVaddr = Feature{
		Name:   "damon-vaddr",
		Title:  "DAMON watches the address space of a process",
		Source: damonSource, Risk: damonRisk, Privileged: true, Since: damonSince,
		probe: func() Result { return probeDAMON("vaddr", nil) },
	}
	damonPaddr = Feature{
		Name:   "damon-paddr",
		Title:  "DAMON watches physical memory",
		Source: damonSource, Risk: damonRisk, Privileged: true, Since: damonSince,
		probe: func() Result { return probeDAMON("paddr", systemRAM) },
	}
	damonFvaddr = Feature{
		Name:   "damon-fvaddr",
		Title:  "DAMON watches chosen ranges of the address space of a process",
		Source: damonSource, Risk: damonRisk, Privileged: true, Since: damonSince,
		probe: probeDAMONFvaddr,
	}
)

func probeDAMONFvaddr() Result {
	const pages = 1024
	arena, err := ownPages(pages)
	if err != nil {
		return unknown("mmap", err)
	}
	defer sys.Munmap(arena)
	for i := 0; i < len(arena); i += os.Getpagesize() {
		write(arena[i:], 1)
	}
	return probeDAMON("fvaddr", func() (start, end uint64, err error) {
		return sys.Addr(arena), sys.Addr(arena) + uint64(len(arena)), nil
	})
}

// systemRAM returns the largest range of memory in /proc/iomem.
func systemRAM() (start, end uint64, err error) {
	text, err := os.ReadFile("/proc/iomem")
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		var first, last uint64
		if !strings.HasSuffix(line, " : System RAM\n") {
			continue
		}
		if _, err := fmt.Sscanf(line, "%x-%x", &first, &last); err != nil {
			return 0, 0, err
		}
		if last+1-first > end-start {
			start, end = first, last+1
		}
	}
	if end == 0 {
		err = errors.New("/proc/iomem shows no System RAM to this process")
	}
	return start, end, err
}

const damonDir = "/sys/kernel/mm/damon/admin/kdamonds"

// probeDAMON starts one kdamond over the own process, or a range, and sees that it
// looks at regions. The controls are its counters before it runs, and after it was
// stopped: they stand still.
func probeDAMON(operations string, region func() (start, end uint64, err error)) Result {
	control := "/sys/kernel/mm is on sysfs"
	if err := onSysfs("/sys/kernel/mm"); err != nil {
		return noControl("/sys/kernel/mm", err)
	}
	count, err := readLine(filepath.Join(damonDir, "nr_kdamonds"))
	if errors.Is(err, fs.ErrNotExist) {
		return missing(damonDir, err, control)
	}
	if err != nil {
		return unknown("nr_kdamonds", err)
	}
	if count != "0" {
		return unknown("nr_kdamonds is "+count+": somebody else uses DAMON", nil)
	}
	back, err := switchOffDAMONStat()
	if err != nil {
		return unknown("switching damon_stat off", err)
	}
	r := startDAMON(operations, region)
	if err := back(); err != nil {
		return unknown("switching damon_stat on again", err)
	}
	return r
}

// switchOffDAMONStat stops the kdamond that a kernel may run for its own statistics
// (Documentation/admin-guide/mm/damon/stat.rst): beside it no other may start (EBUSY).
// The function it returns starts it again.
func switchOffDAMONStat() (back func() error, err error) {
	const enabled = "/sys/module/damon_stat/parameters/enabled"
	text, err := readLine(enabled)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return func() error { return nil }, nil
	case err != nil:
		return nil, err
	case text == "N":
		return func() error { return nil }, nil
	}
	return func() error { return os.WriteFile(enabled, []byte(text), 0) }, os.WriteFile(enabled, []byte("N"), 0)
}

func startDAMON(operations string, region func() (start, end uint64, err error)) Result {
	d := kdamond{dir: filepath.Join(damonDir, "0")}
	defer d.remove()
	if r, ok := d.make(operations, region); !ok {
		return r
	}
	return d.watch()
}

// kdamond is the directory of the one that a probe makes. Its first error stays.
type kdamond struct {
	dir string
	err error
}

func (d *kdamond) write(file, text string) {
	if d.err == nil {
		d.err = os.WriteFile(filepath.Join(d.dir, file), []byte(text), 0)
	}
}

func (d *kdamond) read(file string) (text string) {
	if d.err == nil {
		text, d.err = readLine(filepath.Join(d.dir, file))
	}
	return text
}

// make sets the kdamond up, and does not start it. ok says that it could.
func (d *kdamond) make(operations string, region func() (start, end uint64, err error)) (r Result, ok bool) {
	d.write("../nr_kdamonds", "1")
	d.write("contexts/nr_contexts", "1")
	const context = "contexts/0/"
	available := strings.Fields(d.read(context + "avail_operations"))
	if d.err == nil && !slices.Contains(available, operations) {
		return absent(fmt.Sprintf("avail_operations: %v", available), ""), false
	}
	d.write(context+"operations", operations)
	d.write(context+"monitoring_attrs/intervals/sample_us", "20000")
	d.write(context+"monitoring_attrs/intervals/aggr_us", "200000")
	d.write(context+"targets/nr_targets", "1")
	if operations != "paddr" {
		d.write(context+"targets/0/pid_target", strconv.Itoa(os.Getpid()))
	}
	if region != nil {
		start, end, err := region()
		if err != nil {
			return unknown("region", err), false
		}
		d.write(context+"targets/0/regions/nr_regions", "1")
		d.write(context+"targets/0/regions/0/start", strconv.FormatUint(start, 10))
		d.write(context+"targets/0/regions/0/end", strconv.FormatUint(end, 10))
	}
	d.anyRegion(context + "schemes/")
	if d.err != nil {
		return unknown("setting up a kdamond", d.err), false
	}
	return Result{}, true
}

// anyRegion makes a scheme that counts the regions, whatever they are like.
func (d *kdamond) anyRegion(schemes string) {
	d.write(schemes+"nr_schemes", "1")
	d.write(schemes+"0/action", "stat")
	for property, most := range map[string]uint64{"sz": math.MaxUint64, "nr_accesses": math.MaxUint32, "age": math.MaxUint32} {
		d.write(schemes+"0/access_pattern/"+property+"/min", "0")
		d.write(schemes+"0/access_pattern/"+property+"/max", strconv.FormatUint(most, 10))
	}
}

const damonPatience = 60 * time.Second // an emulated machine under load

// watch runs the kdamond until both counters have moved twice.
func (d *kdamond) watch() Result {
	if before := d.stats(); d.err != nil || before != (damonStats{}) {
		return noControl(fmt.Sprintf("before it ran: %v", before), d.err)
	}
	d.write("state", "on")
	if d.err != nil {
		return unknown("starting a kdamond", d.err)
	}
	var first, last damonStats
	for deadline := time.Now().Add(damonPatience); d.err == nil && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		d.write("state", "update_schemes_stats")
		last = d.stats()
		if first == (damonStats{}) {
			first = last
		}
		if last.moved(first) {
			break
		}
	}
	comm := d.comm()
	d.write("state", "off")
	state, stopped := d.read("state"), d.stats()
	switch {
	case d.err != nil:
		return unknown("watching a kdamond", d.err)
	case !last.moved(first) || first == (damonStats{}):
		return absent(fmt.Sprintf("%s looked at nothing: %v, then %v", comm, first, last), "")
	case state != "off" || stopped != last:
		return noControl(fmt.Sprintf("stopped, it is %s and has %v, after %v", state, stopped, last), nil)
	}
	return present(fmt.Sprintf("%s: %v, then %v", comm, first, last), "before it ran: 0 regions, 0 bytes; stopped: they stand still")
}

// comm is the name of the kernel thread.
func (d *kdamond) comm() string {
	pid := d.read("pid")
	name, err := readLine("/proc/" + pid + "/comm")
	if err != nil {
		return "kdamond of pid " + pid
	}
	return name
}

// damonStats is how many regions the scheme was tried on, and their bytes.
type damonStats struct{ regions, bytes uint64 }

func (s damonStats) String() string { return fmt.Sprintf("%d regions, %d bytes", s.regions, s.bytes) }

func (s damonStats) moved(since damonStats) bool {
	return s.regions > since.regions && s.bytes > since.bytes
}

func (d *kdamond) stats() (s damonStats) {
	for file, into := range map[string]*uint64{"nr_tried": &s.regions, "sz_tried": &s.bytes} {
		text := d.read("contexts/0/schemes/0/stats/" + file)
		if d.err == nil {
			*into, d.err = strconv.ParseUint(text, 10, 64)
		}
	}
	return s
}

// remove stops the kdamond, if it runs, and gives the interface back.
func (d *kdamond) remove() {
	d.err = nil
	if state := d.read("state"); d.err == nil && state == "on" {
		d.write("state", "off")
	}
	d.err = nil
	d.write("../nr_kdamonds", "0")
}
