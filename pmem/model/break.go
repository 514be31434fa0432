package model

// Break is a rule that is broken, on purpose, at one place of the code.
type Break uint8

const (
	// Intact breaks nothing.
	Intact Break = iota
	// R1 lets a transaction store its last change in place, past the log.
	R1
	// R2 writes an object directly while live records cover its space.
	R2
	// R3 acknowledges a record that no fence has made durable.
	R3
	// R3Taken acknowledges a committer when the appender has taken its record.
	R3Taken
	// R4Generation keeps the generation when the pool is opened.
	R4Generation
	// R4Durable appends when the first superblock of this opening is written, and not durable.
	R4Durable
	// R4One writes one superblock when the pool is opened.
	R4One
	// R5Applied moves the tail past changes that were not flushed.
	R5Applied
	// R5Late moves the tail past changes that were applied after the sync began.
	R5Late
	// R5Tail overwrites the log before the tail is durable.
	R5Tail
	// R5Torn believes a tail without its CRC.
	R5Torn
	// R6 applies, and lets readers see it, before the fence.
	R6
	// R6Combined does so where several records are made durable together.
	R6Combined
	// R7 takes a damaged record for the end of the log.
	R7
	// Rewrite replays a log that may be in caches alone.
	Rewrite
	// RewriteSuperblock overwrites a superblock while the other one may be in caches alone.
	RewriteSuperblock
	// Unpoisoned goes on after a sync that failed.
	Unpoisoned
	// ChainLast has a CRC over the last part of a chain alone.
	ChainLast
	// Stale counts an object's incarnations past the log.
	Stale
	// EraseLog leaves copies of what is erased in the log.
	EraseLog
	// EraseCleared clears an erase intent before the scrub is durable.
	EraseCleared
	// EraseUnfinished leaves intents open that recovery finds.
	EraseUnfinished
	// EraseAllocated allocates where an intent is open.
	EraseAllocated
	// GrowLogged logs a size before the space is durable.
	GrowLogged
	// GrowRetried tries a failed sync again, and believes it.
	GrowRetried
	// GrowFound logs space that it finds, and did not make durable.
	GrowFound
)
