// Package access records which memory is accessed, and reports of recordings: the regions
// of the last snapshot by how hot they are and since when, working set sizes, and
// how much memory was used.
//
// [Record] only listens: it changes nothing of what watches, and takes what any kdamond
// tells. Pictures are made by package heatmap.
package access
