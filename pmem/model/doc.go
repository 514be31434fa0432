// Package model is the protocol of persistent pools as a small executable model, for the crash
// explorer. It has the rules and nothing else: no speed, no objects of any type.
//
// The medium, all words little-endian:
//
//	0      superblock A: counter, generation, sequence, CRC32C of those
//	512    tail slot 0: generation, sequence, CRC32C of those with the position, position
//	4096   superblock B
//	4608   tail slot 1
//	8192   log: a ring of slots of 128 bytes; a record takes one, or several
//	12288  words of the user, 64 bytes apart
//	12800  bitmap of allocated objects, one word
//	13056  erase intents of objects, one word
//	13184  size, once it has grown
//	13312  objects of two words and an incarnation, 64 bytes apart
//	16384  a word, once it has grown
//
// A record is: generation, sequence, known-durable mark, number of changes, the changes
// (target and value each), CRC32C of all before it. A bigger one is a chain of such
// parts, of which the last has the CRC of all. The rules: docs/pmem/protocol.md.
package model
