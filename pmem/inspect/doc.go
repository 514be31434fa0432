// Package inspect shows pools that it never saw the programs of: it decodes objects by the
// descriptors of their types that are stored in the pool. It changes nothing, and shows what is
// damaged as that.
//
// What a pool holds is text of somebody else: names and values are escaped, so that none of it does
// anything to a terminal.
package inspect
