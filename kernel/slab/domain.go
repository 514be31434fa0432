package slab

import (
	"slices"
	"strings"
)

// Domain is a part of the kernel that a cache's objects belong to: what one part does
// wrong should not change another part's. It is this package's reading of a name.
type Domain string

// The domains. The first three decide who may do what, and which memory is whose.
const (
	Identity   Domain = "identity"   // credentials, keys, namespaces, process ids, labels of security modules
	Memory     Domain = "memory"     // address spaces and who maps what
	Process    Domain = "process"    // tasks, signals, descriptor tables, scheduling
	Control    Domain = "control"    // cgroups and their limits
	FileSystem Domain = "filesystem" // inodes, names, journals
	Descriptor Domain = "descriptor" // what any process makes by system calls on descriptors: locks, watches, pipes
	Network    Domain = "network"
	Block      Domain = "block"    // block devices and what moves data to them
	Virtual    Domain = "virtual"  // virtual machines
	Platform   Domain = "platform" // firmware, buses, devices
	Observer   Domain = "observer" // tracing, perf, audit, BPF
	General    Domain = "general"  // kmalloc: anything, by size
	Core       Domain = "core"     // the kernel's own machinery
	Unsorted   Domain = "unsorted" // a name that this version does not know
)

// Guarded reports whether objects of the domain decide who may do what, or which memory is
// whose.
func (d Domain) Guarded() bool { return d == Identity || d == Memory || d == Process }

// prefixes sorts caches by how their names begin; the longest prefix wins. A name that
// ends in "$" here is a whole one.
var prefixes = map[Domain]string{
	Identity: `cred$ pid$ pid_ pidfs_ user_namespace uts_namespace net_namespace time_namespace ipc_namespace nsproxy key_jar
		uid_cache cred_jar$ lsm_ selinux_ avc_ apparmor landlock posix_acl ima_ iint_cache$`,
	Memory: `vm_area_struct vma_ anon_vma mm_struct vmap_area maple_node ksm_ numa_policy shared_policy_node damon_ mm_slot page->ptl
		pgd_ pgtable hugetlb_ khugepaged userfaultfd_ctx zs_handle zspage dax_cache shmem_inode_cache
		zswap_entry`,
	Process: `task_struct task_exec_state signal_cache sighand_cache files_cache fs_cache task_delay_info taskstats task_group posix_timers_cache
		sigqueue task_xstate thread_stack uprobe_ kthread_`,
	Control: `mem_cgroup cgroup_ blkcg`,
	FileSystem: `ext2_ ext3_ ext4_ jbd2_ xfs_ btrfs_ dentry inode_cache proc_inode_cache kernfs_ mb_cache_entry pending_reservation
		extent_status fuse_ erofs_ squashfs ovl_ nfs rpc_ isofs udf_ fat_ f2fs_ bio_post_read_ctx fscrypt_ fsverity dquot mnt_cache
		names_cache filp bfilp buffer_head pde_opener proc_dir_entry dnotify_struct fsnotify_ cifs_ smb_ ceph_ 9p- hfs
		hugetlbfs_inode_cache debugfs_ tracefs_ bdev_cache configfs_ autofs ntfs exfat zonefs bcachefs netfs_ fscache mbcache$ aio_inode_cache$`,
	Descriptor: `file_lock_ file_lease_cache eventpoll_ ep_head seq_file fasync_cache inotify_ fanotify_ dnotify_mark aio_kiocb kioctx
		io_kiocb io_ring io_buffer pipe_ backing_aio dma_buf sync_file mqueue secretmem`,
	Network: `UNIX TCP UDP PING RAW AF_ NETLINK PACKET SCTP MPTCP sock_inode_cache tcp_ tw_sock request_sock inet_ inet6_ ip_ ip4- ip6-
		ip6_ fib6_ fib_ rtable dst_ xfrm skbuff_ net_bridge mfc_cache mfc6_cache nf_ nf- nft_ xt_ xsk_ neigh arp_ ndisc bridge_
		mptcp tipc can_ wg_ page_pool tls_ sd_`,
	Block: `bio$ bio- biovec bio_ sgpool- blkdev_ bfq_ request_queue dmaengine-unmap iommu_iova io_cq ioc_ scsi_ nvme dm_ md_ raid5
		virtio_blk kcopyd dio$ fs_bio_`,
	Virtual:  `kvm_ x86_emulator pte_list_desc mmu_page_header vhost vfio`,
	Platform: `Acpi- acpi_ iommu_ usb_ pci_ drm_ i915_ amd_ dmar_ intel_ mmc_ irq_ virtio_ gpu_buddy_`,
	Observer: `trace_event_ ftrace_ audit_ perf_event bpf_ kprobe_ fprobe_ kmemleak_ kfence debug_objects`,
	General:  `kmalloc- kmalloc_ dma-kmalloc- msg_msg- memdup`,
	Core:     `pool_workqueue radix_tree rcu_ hrtimer_ async_ task_work kmem_cache module_ crypto_ jent_ btree_node$`,
}

// DomainOf returns the domain of a name.
func DomainOf(name string) Domain {
	best, length := Unsorted, 0
	for _, e := range table {
		whole := strings.HasSuffix(e.prefix, "$")
		prefix := strings.TrimSuffix(e.prefix, "$")
		if (whole && name == prefix || !whole && strings.HasPrefix(name, prefix)) && len(e.prefix) > length {
			best, length = e.domain, len(e.prefix)
		}
	}
	return best
}

type entry struct {
	prefix string
	domain Domain
}

// table is the prefixes in a fixed order.
var table = func() []entry {
	var all []entry
	for domain, list := range prefixes {
		for _, prefix := range strings.Fields(list) {
			all = append(all, entry{prefix, domain})
		}
	}
	slices.SortFunc(all, func(a, b entry) int {
		return strings.Compare(a.prefix+" "+string(a.domain), b.prefix+" "+string(b.domain))
	})
	return all
}()

// Domains returns the domains of the cache's names, in ascending order.
func (c *Cache) Domains() []Domain {
	var all []Domain
	for _, name := range c.Names {
		all = append(all, DomainOf(name))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// unsorted counts the names that are of no known domain.
func (c *Cache) unsorted() (n int) {
	for _, name := range c.Names {
		if DomainOf(name) == Unsorted {
			n++
		}
	}
	return n
}

// Crosses reports whether names of different domains share the cache. A name that is not
// known could be of any: it crosses nothing by itself.
func (c *Cache) Crosses() bool {
	known := slices.DeleteFunc(c.Domains(), func(d Domain) bool { return d == Unsorted })
	return len(known) > 1
}

// Guarded reports whether the cache crosses domains and one of them is guarded.
func (c *Cache) Guarded() bool {
	return c.Crosses() && slices.ContainsFunc(c.Domains(), Domain.Guarded)
}
