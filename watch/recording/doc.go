// Package recording is a file of what was seen of memory over time: snapshots of DAMON,
// what its schemes acted upon, how much processes use, and what was lost of all that.
//
// The file only grows. It consists of frames, each with its length and a checksum, whose
// blocks are compressed (zstd). So a file that is cut anywhere, because the machine or the
// recorder died, has all that was whole before; and a byte that was flipped is found. Writer and Reader
// hold one block at a time: what they need does not depend on the length of the file.
//
// The format is in docs/formats/recording.md.
package recording
