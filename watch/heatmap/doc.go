// Package heatmap makes pictures of recordings: when which memory was accessed how often.
//
// A picture is a grid of cells, each a span of time and of addresses. A region of a snapshot
// adds to the cells that it covers its accesses times the time and the bytes that it has
// of the cell; the sum is divided by the size of the cell. Accesses are in Hz where the
// intervals are known, otherwise in samples. Cells that no snapshot says anything about are
// unknown, and not cold.
//
// The maths, the order of its steps and the choice of the ranges are those of damo, so that
// the values are the same to the last bit (see scripts/compare-damo). Where a part of a
// recording is drawn, what lies before it does not count; damo takes it off the first cells.
package heatmap
