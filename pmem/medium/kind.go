package medium

import "fmt"

// Kind is the kind of a medium.
type Kind uint8

const (
	// DAX is persistent memory: a file on a file system that accepts MAP_SYNC.
	DAX Kind = iota + 1
	// PageCache is an ordinary file on a device.
	PageCache
	// Volatile does not survive the loss of power: memory, or a file on tmpfs.
	Volatile
)

var kinds = [...]string{DAX: "dax", PageCache: "page cache", Volatile: "volatile"}

func (k Kind) String() string { return name(kinds[:], k) }

// Class says what a store is for. The medium does nothing with it; a [Recorder] hears it.
type Class uint8

const (
	// Unclassed is a store of a structure that has no classes.
	Unclassed Class = iota
	// Log is a store to the log.
	Log
	// Apply puts in place what a log record says.
	Apply
	// Direct writes an object that nothing reaches yet.
	Direct
	// Scrub overwrites what was erased.
	Scrub
	// Superblock is a store to a superblock, or to what stands in its place.
	Superblock
	// Atomic is a store of an atomic operation.
	Atomic
)

var classes = [...]string{Unclassed: "unclassed", Log: "log", Apply: "apply", Direct: "direct", Scrub: "scrub", Superblock: "superblock", Atomic: "atomic"}

func (c Class) String() string { return name(classes[:], c) }

// Action is what an [Event] does.
type Action uint8

const (
	// Store puts Data at Off through the caches, or into the page cache.
	Store Action = iota + 1
	// Stream puts Data at Off with non-temporal stores.
	Stream
	// Flush starts the write-back of the lines of Off and Len.
	Flush
	// Fence waits for the flushes and non-temporal stores of Thread.
	Fence
	// SyncBegin starts a sync of what Scope says. ID names it.
	SyncBegin
	// SyncEnd ends it: with success, unless the recorder returns an error.
	SyncEnd
	// Extend makes the medium Len bytes long, with zeros. A sync of File makes it durable.
	Extend
	// Link gives the file its name. A sync of Directory makes it durable.
	Link
	// Allocate makes sure that Off and Len have space on the device. It changes no bytes.
	Allocate
)

var actions = [...]string{Store: "store", Stream: "stream", Flush: "flush", Fence: "fence", SyncBegin: "sync begins", SyncEnd: "sync ends", Extend: "extend", Link: "link", Allocate: "allocate"}

func (a Action) String() string { return name(actions[:], a) }

// Scope is what a sync makes durable.
type Scope uint8

const (
	// Range is the bytes of Off and Len, and nothing of the file's attributes.
	Range Scope = iota + 1
	// File is its size, and on PageCache all its bytes.
	File
	// Directory is the entry of the file in its directory.
	Directory
)

var scopes = [...]string{Range: "range", File: "file", Directory: "directory"}

func (s Scope) String() string { return name(scopes[:], s) }

func name[T ~uint8](names []string, v T) string {
	if int(v) < len(names) && names[v] != "" {
		return names[v]
	}
	return fmt.Sprintf("%T(%d)", v, uint8(v))
}
