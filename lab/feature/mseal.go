package feature

import (
	"sync"
	"syscall"

	"github.com/safevma/safevma/internal/sys"
)

var mseal = Feature{
	Name:   "mseal",
	Title:  "mappings that can't be unmapped or given other permissions (mseal)",
	Source: "Documentation/userspace-api/mseal.rst",
	Since:  "6.10",
	probe:  probeMseal,
}

// sealedPage returns a page without access that is sealed. There is one for the life of
// the process, since it can never be given back; it takes an address and no memory.
var sealedPage = sync.OnceValues(func() ([]byte, Result) {
	page, err := ownPages(1)
	if err != nil {
		return nil, unknown("mmap", err)
	}
	// The control: what will be refused is allowed before.
	if err := sys.Mprotect(page, sys.ProtNone); err != nil {
		sys.Munmap(page)
		return nil, noControl("mprotect before", err)
	}
	if err := sys.Mseal(page); err != nil {
		sys.Munmap(page)
		return nil, absentIf("mseal", err, "mprotect before: ok", syscall.ENOSYS)
	}
	return page, Result{}
})

func probeMseal() Result {
	const control = "mprotect before, munmap of another page: ok"
	other, err := ownPages(1)
	if err != nil {
		return unknown("mmap", err)
	}
	if err := sys.Munmap(other); err != nil {
		return noControl("munmap of another page", err)
	}
	page, r := sealedPage()
	if page == nil {
		return r
	}
	r = refused("mprotect of a sealed page", sys.Mprotect(page, sys.ProtRead), syscall.EPERM, control)
	if r.Answer != Present {
		return r
	}
	first := r.Observed
	r = refused("munmap of a sealed page", sys.Munmap(page), syscall.EPERM, control)
	r.Observed = first + "; " + r.Observed
	return r
}
