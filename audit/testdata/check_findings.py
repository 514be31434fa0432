#!/usr/bin/env python3
"""Checks the findings of an audit against /proc, read by its own simple means.

    check_findings.py snapshot [--declared PID]... PID... >before.json
    (the audit runs)
    check_findings.py snapshot [--declared PID]... PID... >after.json
    check_findings.py compare [--still] before.json after.json report.json...

It shares no code with the audit, uses the standard library alone, and checks both ways:
what the report calls broken must be so, and what is so must be in the report. Programs
that compile while they run change their mappings all the time; so /proc is read before
and after the audit, and only what both readings agree on is held against the report.
With --still the processes were stopped meanwhile: then nothing may have changed.

Exit status: 0 the report agrees, 1 it does not, 2 the check itself failed.
"""

import array
import fcntl
import json
import os
import re
import sys

DELETED = " (deleted)"


# Reading


def text(path):
    with open(path, "rb") as f:
        return f.read().decode("utf-8", "surrogateescape")


def memfd_devices():
    """Makes a memfd of each page size, and looks which file system it is on."""
    flags = [0]
    huge = "/sys/kernel/mm/hugepages"
    for folder in os.listdir(huge) if os.path.isdir(huge) else []:
        size = int(folder[len("hugepages-") : -len("kB")]) * 1024
        flags.append(os.MFD_HUGETLB | (size.bit_length() - 1) << os.MFD_HUGE_SHIFT)
    devices = []
    for f in flags:
        try:
            fd = os.memfd_create("check", f)
        except OSError:
            continue  # no pages of that size
        devices.append(device(os.fstat(fd)))
        os.close(fd)
    return devices


def device(stat):
    return "%d:%d" % (os.major(stat.st_dev), os.minor(stat.st_dev))


HEADER = re.compile(r"([0-9a-f]+)-([0-9a-f]+) ([rwxsp-]{4}) ([0-9a-f]+) ([0-9a-f]+):([0-9a-f]+) (\d+) *(.*)")


def header(line):
    """A line of /proc/PID/maps as a dictionary; None for another line."""
    m = HEADER.fullmatch(line)
    return m and {
        "start": int(m[1], 16),
        "end": int(m[2], 16),
        "perms": m[3],
        "columns": " ".join(m.groups()[:-1]),
        "device": "%d:%d" % (int(m[5], 16), int(m[6], 16)),
        "inode": int(m[7]),
        "name": m[8],
        "line": line,
    }


def mappings(pid, full):
    """The mappings of a process; with their amounts and flags where full."""
    found = []
    for line in text("/proc/%d/%s" % (pid, "smaps" if full else "maps")).split("\n"):
        vma = header(line)
        if vma:
            found.append(vma)
        elif line:
            key, value = line.split(":", 1)
            found[-1][key] = value.split() if key == "VmFlags" else int(value.split()[0])
    return [vma for vma in found if vma["name"] != "[vsyscall]"]


def guards(pid, vma):
    """How many pages are guards: bit 58 of their entries in /proc/PID/pagemap."""
    page = os.sysconf("SC_PAGE_SIZE")
    with open("/proc/%d/pagemap" % pid, "rb") as f:
        f.seek(vma["start"] // page * 8)
        entries = array.array("Q", f.read((vma["end"] - vma["start"]) // page * 8))
    return sum(e >> 58 & 1 for e in entries)


def named(pid, path):
    """The file that stands under a path, as the process sees the file system."""
    try:
        return os.stat("/proc/%d/root%s" % (pid, path.replace("\\012", "\n")))
    except OSError:
        return None


def deleted(pid, path, inode):
    """The kernel marks deleted files by a suffix that a name may also have by itself."""
    if not path.endswith(DELETED):
        return False
    stat = named(pid, path)
    return stat is None or stat.st_ino != inode


def memfd_at(path, devices):
    """What a link of /proc leads to, if it is a memfd or secret memory."""
    link = os.readlink(path)
    if not link.startswith(("/memfd:", "/secretmem")):
        return None
    stat = os.stat(path)
    secret = link == "/secretmem" + DELETED
    if not secret and device(stat) not in devices:
        return None
    about = {"key": [device(stat), stat.st_ino], "secret": secret, "mode": stat.st_mode & 0o777, "seals": 0 if secret else None}
    try:
        fd = os.open(path, os.O_RDONLY)
        about["seals"] = fcntl.fcntl(fd, fcntl.F_GET_SEALS)
        os.close(fd)
    except OSError:
        pass
    return about


def memfds_of(pid, vmas, devices):
    """The memfds and secret memory that a process has open, runs, or maps; what is only
    mapped shows to root alone."""
    links = [("held", "fd/" + fd) for fd in os.listdir("/proc/%d/fd" % pid)] + [("run", "exe")]
    links += [("mapped", "map_files/%x-%x" % (v["start"], v["end"])) for v in vmas if v["device"] in devices or v["name"].startswith("/secretmem")]
    found = []
    for role, link in links:
        try:
            about = memfd_at("/proc/%d/%s" % (pid, link), devices)
        except FileNotFoundError:
            continue  # closed meanwhile
        except PermissionError:
            if role == "mapped":
                continue
            raise
        if about:
            found.append(about)
    return found


def start_time(pid):
    """Fields 3 and 22 of /proc/PID/stat, and whether it is a kernel thread."""
    fields = text("/proc/%d/stat" % pid).rpartition(")")[2].split()
    return fields[0], int(fields[19]), bool(int(fields[6]) & 0x00200000)


def process(pid, scope, declared, devices):
    state, start, kernel = start_time(pid)
    if kernel or state in "ZX":
        return None
    p = {"start": start, "scope": scope, "declared": declared, "comm": text("/proc/%d/comm" % pid)[:-1], "denied": False}
    try:
        exe = os.stat("/proc/%d/exe" % pid)
        p["exe"] = os.readlink("/proc/%d/exe" % pid)
        p["exe_memfd"] = p["exe"].startswith("/memfd:") and device(exe) in devices
        p["exe_deleted"] = not p["exe_memfd"] and deleted(pid, p["exe"], exe.st_ino)
        p["oom_score_adj"] = int(text("/proc/%d/oom_score_adj" % pid))
        p["vmas"] = mappings(pid, scope)
        p["memfds"] = memfds_of(pid, p["vmas"], devices)
    except PermissionError:
        p["denied"] = True
        return p
    p["count"] = len(p["vmas"])
    if not scope:
        p["vmas"] = [v for v in p["vmas"] if v["inode"] and ("x" in v["perms"] or v["perms"][3] == "s")]
        return p
    for vma in p["vmas"]:
        vma["deleted"] = bool(vma["inode"]) and deleted(pid, vma["name"], vma["inode"])
        if "gu" in vma["VmFlags"] and "lo" in vma["VmFlags"]:
            vma["guards"] = guards(pid, vma)
    return p


def number(path, missing=None):
    try:
        return int(text(path))
    except OSError:
        return missing


def host():
    """The rules about the host, and whether it breaks them."""
    try:
        pattern = text("/proc/sys/kernel/core_pattern")
    except OSError:
        pattern = None
    try:
        huge = text("/sys/kernel/mm/transparent_hugepage/enabled")
    except OSError:
        huge = ""
    kernel, vm = "/proc/sys/kernel/", "/proc/sys/vm/"
    return {
        "ptrace-unrestricted": number(kernel + "yama/ptrace_scope", -1) < 1,
        "suid-dumpable": number("/proc/sys/fs/suid_dumpable") != 0,
        "core-dump-program": pattern and pattern.startswith("|"),
        "unprivileged-bpf": number(kernel + "unprivileged_bpf_disabled") == 0,
        "unprivileged-userfaultfd": number(vm + "unprivileged_userfaultfd") == 1,
        "overcommit-allowed": number(vm + "overcommit_memory") != 2,
        "host-swap": len(text("/proc/swaps").splitlines()) > 1,
        "huge-pages-always": "[always]" in huge,
        "oom-kills-allocating-task": number(vm + "oom_kill_allocating_task") > 0,
        "panic-on-oom": number(vm + "panic_on_oom") > 0,
    }




def snapshot(scope, declared):
    devices = memfd_devices()
    processes = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        pid = int(entry)
        try:
            p = process(pid, pid in scope or pid in declared, pid in declared, devices)
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended meanwhile
        if p:
            processes[entry] = p
    settings = {"max_map_count": number("/proc/sys/vm/max_map_count"), "ksm_run": number("/sys/kernel/mm/ksm/run", 0)}
    return {"processes": processes, "settings": settings, "host": host(), "devices": devices}


# What breaks a rule. A rule about mappings gets the mapping, the process, the snapshot.


def resident(v):
    return v["Rss"] + v.get("Shared_Hugetlb", 0) + v.get("Private_Hugetlb", 0)


def present(v):
    page = os.sysconf("SC_PAGE_SIZE") // 1024
    return resident(v) + v.get("guards", 0) * page


def flags(v, wanted="", unwanted=""):
    return v["flags"].issuperset(wanted.split()) and v["flags"].isdisjoint(unwanted.split())


def is_file(v, s):
    return v["name"].startswith("/") and v["inode"] and v["device"] not in s["devices"] and flags(v, "", "ht pf")


def is_stack(v):
    return v["name"] == "[stack]" and not v["inode"] or flags(v, "gd")


VMA_RULES = {
    "wx-mapping": lambda v, p, s: "w" in v["perms"] and "x" in v["perms"],
    "executable-stack": lambda v, p, s: "x" in v["perms"] and is_stack(v),
    "executable-mapping-deleted": lambda v, p, s: "x" in v["perms"] and is_file(v, s) and v["deleted"],
    "locked-not-resident": lambda v, p, s: flags(v, "lo", "lf io pf mm") and v["perms"][:3] != "---" and present(v) < v["Size"],
    "locked-on-fault": lambda v, p, s: flags(v, "lo lf") and resident(v) < v["Size"],
    "droppable": lambda v, p, s: flags(v, "dp"),
    "mergeable": lambda v, p, s: flags(v, "mg"),
    "merging": lambda v, p, s: flags(v, "mg") and (s["settings"]["ksm_run"] == 1 or v.get("KSM", 0) > 0),
    "declared-not-locked": lambda v, p, s: p["declared"] and flags(v, "", "lo io de pf mm ht") and resident(v) > 0,
    "declared-swapped": lambda v, p, s: p["declared"] and v["Swap"] > 0,
    "declared-droppable": lambda v, p, s: p["declared"] and flags(v, "dp"),
    "declared-read-hint": lambda v, p, s: p["declared"] and flags(v, "", "lo") and (flags(v, "rr") or flags(v, "sr")),
}

PROCESS_RULES = {
    "program-in-memfd": lambda p, s: p["exe_memfd"],
    "program-deleted": lambda p, s: p["exe_deleted"],
    "vma-count": lambda p, s: p["count"] >= s["settings"]["max_map_count"] // 10 * 9,
    "declared-oom-score": lambda p, s: p["declared"] and p["oom_score_adj"] > -900,
}


def readable(s):
    return [(pid, p) for pid, p in s["processes"].items() if not p["denied"]]


def inodes(s):
    """Files that are writable in one mapping and executable in another: to the lines."""
    views, scope = {}, set()
    for pid, p in readable(s):
        for v in p["vmas"]:
            writes = v["perms"][1] == "w" and v["perms"][3] == "s"
            if v["inode"] and (writes or "x" in v["perms"]):
                # System V segments have numbers of their own, on the device of memfds.
                key = (v["device"], v["inode"], v["name"].startswith("/SYSV"))
                views.setdefault(key, []).append((writes, "x" in v["perms"], pid, v["columns"]))
                if p["scope"]:
                    scope.add(key)
    both = {k for k, vs in views.items() if any(w for w, _, _, _ in vs) and any(x for _, x, _, _ in vs)}
    found = {}
    for k in both & scope:
        found.setdefault(k[:2], set()).update((pid, columns) for _, _, pid, columns in views[k])
    return found


def memfds(s):
    """All memfds and secret memory: what they are, and who uses them how."""
    found = {}

    def one(key, secret):
        return found.setdefault(tuple(key), {"secret": secret, "mode": None, "seals": None, "scope": False, "users": set(), "executors": set()})

    for pid, p in readable(s):
        for d in p["memfds"]:
            f = one(d["key"], d["secret"])
            f.update(mode=d["mode"], seals=d["seals"] if f["seals"] is None else f["seals"])
            f["users"].add(pid)
            f["scope"] |= p["scope"]
        for v in p["vmas"]:
            secret = v["name"] == "/secretmem" + DELETED
            if secret or v["name"].startswith("/memfd:") and v["device"] in s["devices"]:
                f = one((v["device"], v["inode"]), secret)
                f["users"].add(pid)
                f["scope"] |= p["scope"]
                if "x" in v["perms"]:
                    f["executors"].add(pid)
    return {k: f for k, f in found.items() if f["scope"]}


F_SEAL_WRITE = 8


def executable(f):
    """Whether it can be executed: None where its mode can't be seen."""
    return None if f["mode"] is None else not f["secret"] and f["mode"] & 0o111 != 0


def executable_and(f, sealed):
    if executable(f) is False:
        return False
    return None if executable(f) is None or f["seals"] is None else bool(f["seals"] & F_SEAL_WRITE) == sealed


def noexec_mapped(f):
    if not f["executors"]:
        return False
    return None if executable(f) is None else not executable(f)


MEMFD_RULES = {
    "memfd-executable": lambda f: executable_and(f, False),
    "memfd-executable-sealed": lambda f: executable_and(f, True),
    "memfd-noexec-mapped-executable": noexec_mapped,
    "secret-memory": lambda f: f["secret"],
}


# Comparing

HOST = "the host"


def plain(line):
    """Whether a report shows the line as it is."""
    return line.isascii() and line.isprintable() and "\\" not in line


class Check:
    """The comparison of one report. What was seen to break a rule is kept in seen, for
    further reports."""

    def __init__(self, before, after, report, still, seen):
        self.before, self.after, self.still, self.seen = before, after, still, seen
        self.wrong, self.open, self.compared, self.vmas = [], [], 0, 0
        self.verdicts = {}
        for v in report["verdicts"]:
            self.verdicts.setdefault(v["rule"], []).append(v)
        self.pids = [pid for pid, p in before["processes"].items() if p["scope"] and self.same(pid)]

    def same(self, pid):
        """Whether it is one process, readable, in both snapshots."""
        a, b = self.before["processes"][pid], self.after["processes"].get(pid)
        return b is not None and a["start"] == b["start"] and not a["denied"] and not b["denied"] and a["exe"] == b["exe"]

    def pair(self, pid):
        return self.before["processes"][pid], self.after["processes"][pid]

    def say(self, what, rule, subject, detail):
        self.wrong.append("%s: rule %s on %s: %s" % (what, rule, subject, detail))

    def changed(self, rule, subject, detail):
        still = self.still and subject != HOST  # only the processes were stopped
        (self.wrong if still else self.open).append("changed meanwhile: rule %s on %s: %s" % (rule, subject, detail))

    def run(self):
        for pid in self.pids:
            self.vmas += len(self.before["processes"][pid]["vmas"])
            for rule, breaks in VMA_RULES.items():
                self.space(rule, pid, breaks)
            for rule, breaks in PROCESS_RULES.items():
                a, b = self.pair(pid)
                self.status(rule, self.name(pid), self.about(rule, pid), breaks(a, self.before), breaks(b, self.after))
        if self.still and len(self.pids) != sum(p["scope"] for p in self.before["processes"].values()):
            self.wrong.append("not all processes could be read, or they changed though they were stopped")
        self.inodes()
        self.memfds()
        for rule in self.before["host"]:
            self.status(rule, HOST, self.verdicts.get(rule, []), self.before["host"][rule], self.after["host"][rule])

    def name(self, pid):
        return "%s (%s)" % (self.before["processes"][pid]["comm"], pid)

    def about(self, rule, pid):
        """The verdicts of a rule on a process."""
        p = self.before["processes"][pid]
        return [v for v in self.verdicts.get(rule, []) if v["subject"].get("pid") == int(pid) and v["subject"]["start_time"] == p["start"]]

    def one(self, rule, subject, verdicts):
        """The only verdict that must be there."""
        if len(verdicts) != 1:
            self.say("missed" if not verdicts else "more than one", rule, subject, "%d verdicts" % len(verdicts))
            return None
        self.compared += 1
        if verdicts[0]["status"] == "unknown":
            self.say("not decided", rule, subject, verdicts[0]["message"])
            return None
        return verdicts[0]

    def status(self, rule, subject, verdicts, before, after):
        if rule.startswith("declared-") and not before and not verdicts:
            return  # not asked
        v = self.one(rule, subject, verdicts)
        if v is None:
            return
        broken = v["status"] == "broken"
        if bool(before) != bool(after):
            self.changed(rule, subject, "%s then %s" % (before, after))
        elif broken != bool(before) and not v["message"].startswith("allowed: "):
            self.say("invented" if broken else "missed", rule, subject, v["message"])

    def space(self, rule, pid, breaks):
        """A rule about mappings, on one process."""
        a, b = self.pair(pid)
        if rule.startswith("declared-") and not a["declared"]:
            return
        v = self.one(rule, self.name(pid), self.about(rule, pid))
        if v is None:
            return
        key = rule, pid
        if key not in self.seen:
            self.seen[key] = tuple({m["columns"]: m for m in p["vmas"] if breaks(m, p, s)} for p, s in ((a, self.before), (b, self.after)))
        before, after = self.seen[key]
        stated = self.stated(rule, pid, v, before, after)
        steady = before.keys() & after.keys()
        if len(stated) == v["observation"]["total"] or v["status"] != "broken":
            for columns in sorted(steady - stated.keys()):
                self.say("missed", rule, self.name(pid), before[columns]["line"])
        total = v["observation"]["total"] if v["status"] == "broken" else 0
        unchanged = before.keys() == after.keys() and a["layout"] == b["layout"]
        if total < len(steady) or unchanged and total != len(steady):
            self.say("missed" if total < len(steady) else "invented", rule, self.name(pid), "%d mappings break it, the report says %d" % (len(steady), total))
        if not unchanged:
            self.changed(rule, self.name(pid), "%d mappings, then %d" % (len(before), len(after)))

    def stated(self, rule, pid, v, before, after):
        """The mappings that the report names, each checked against what was read."""
        if v["status"] != "broken":
            return {}
        stated = {}
        for raw in v["observation"].get("raw", []):
            lines = raw.split("\n")
            said = header(lines[0])
            if said is None or said["columns"] in stated:
                self.say("invented", rule, self.name(pid), "no line of smaps, or twice: " + raw)
                continue
            stated[said["columns"]] = said
            real = [m for m in (before.get(said["columns"]), after.get(said["columns"])) if m]
            if not real:
                if self.around(0, pid, said) == self.around(1, pid, said):
                    self.say("invented", rule, self.name(pid), lines[0])
                else:
                    self.changed(rule, self.name(pid), lines[0])
            elif plain(real[0]["line"]) and lines[0] not in [m["line"] for m in real]:
                self.say("not the kernel's words", rule, self.name(pid), "%r, not %r" % (lines[0], real[0]["line"]))
            elif not any("VmFlags: " + " ".join(m["VmFlags"]) in raw for m in real):
                self.say("not the kernel's flags", rule, self.name(pid), raw)
        return stated

    def around(self, which, pid, said):
        """What was mapped there before, or after."""
        vmas = self.pair(pid)[which]["vmas"]
        return [(m["columns"], m["VmFlags"]) for m in vmas if m["start"] < said["end"] and said["start"] < m["end"]]

    def found(self, rule, before, after):
        """A rule about files: the verdicts on those that break it in both snapshots. A
        value of None is a file of which it is not known."""
        by_file = {(v["subject"].get("device"), v["subject"].get("inode")): v for v in self.verdicts.get(rule, []) if v["subject"]["kind"] != "host"}
        if not self.verdicts.get(rule):
            self.say("missed", rule, HOST, "no verdict at all")
        for key, v in by_file.items():
            self.compared += 1
            if v["status"] == "broken" and not before.get(key, False) and not after.get(key, False) and before.get(key, False) is not None:
                self.say("invented", rule, "%s inode %s" % key, v["message"])
        for key in sorted(before.keys() & after.keys()):
            subject = "%s inode %d" % key
            if before[key] and after[key] and by_file.get(key, {}).get("status") not in ("broken", "not applicable"):
                self.say("missed", rule, subject, by_file.get(key, {}).get("message", "no verdict"))
            if before[key] is not None and by_file.get(key, {}).get("status") == "unknown":
                self.say("not decided", rule, subject, by_file[key]["message"])
        if {k for k in before if before[k]} != {k for k in after if after[k]}:
            self.changed(rule, "some file", "not the same files before and after")
        return {k: v for k, v in by_file.items() if v["status"] == "broken" and before.get(k) and after.get(k)}

    def inodes(self):
        rule = "inode-written-and-executed"
        before, after = inodes(self.before), inodes(self.after)
        for key, v in self.found(rule, before, after).items():
            stated = set()
            for raw in v["observation"]["raw"]:
                m = re.fullmatch(r"pid (\d+) \(.*?\): ([0-9a-f]+-.*)", raw)
                said = m and header(m[2])
                stated.add((m[1], said["columns"]) if said else raw)
            whole = len(v["observation"]["raw"]) == v["observation"]["total"]
            if not stated <= before[key] | after[key] or whole and not before[key] & after[key] <= stated:
                self.say("not its mappings", rule, "%s inode %d" % key, "%s, not %s" % (sorted(stated, key=str), sorted(before[key])))

    def memfds(self):
        before, after = memfds(self.before), memfds(self.after)
        for rule, breaks in MEMFD_RULES.items():
            found = self.found(rule, {k: breaks(f) for k, f in before.items()}, {k: breaks(f) for k, f in after.items()})
            for key, v in found.items():
                said = " ".join(v["observation"]["raw"])
                mode = re.search(r"st_mode (\d+)", said)
                if mode and before[key]["mode"] is not None and int(mode[1], 8) & 0o777 != before[key]["mode"]:
                    self.say("not its mode", rule, "%s inode %d" % key, said)
                if not set(re.findall(r"pid (\d+) \(", said)) & (before[key]["users"] | after[key]["users"]):
                    self.say("not its users", rule, "%s inode %d" % key, said)

    def listing(self):
        """What was found, a line for each rule and subject."""
        rules = [*VMA_RULES, *PROCESS_RULES, "inode-written-and-executed", *MEMFD_RULES, *self.before["host"]]
        for rule in rules:
            for v in self.verdicts.get(rule, []):
                if v["status"] != "broken":
                    continue
                s, o = v["subject"], v["observation"]
                who = s["name"] + (" (%d)" % s["pid"] if "pid" in s else "")
                yield "%-8s %-24s %-26s %4d  %s" % (s["kind"], who, rule, o["total"], o["raw"][0].replace("\n", "; "))


def load(path):
    s = json.loads(text(path))
    for p in s["processes"].values():
        if p["scope"] and not p["denied"]:
            p["layout"] = [v["columns"] for v in p["vmas"]]
            for v in p["vmas"]:
                v["flags"] = frozenset(v["VmFlags"])
    return s


def compare(before, after, reports, still):
    """Prints what was found and what is wrong with each report; 1 if anything is."""
    before, after = load(before), load(after)
    status, seen = 0, {}
    for path in reports:
        check = Check(before, after, json.loads(text(path)), still, seen)
        check.run()
        if len(reports) > 1:
            print("== " + os.path.basename(path))
        for line in sorted(check.listing()) + sorted(check.open) + sorted(check.wrong):
            print(line.encode("utf-8", "backslashreplace").decode())
        print("%d verdicts compared, on %d processes with %d mappings: %d wrong, %d changed meanwhile"
              % (check.compared, len(check.pids), check.vmas, len(check.wrong), len(check.open)))
        if check.wrong or not check.compared:
            status = 1
    return status


def main(args):
    if args[:1] == ["snapshot"]:
        declared = {int(args[i + 1]) for i, a in enumerate(args) if a == "--declared"}
        scope = {int(a) for a in args[1:] if a != "--declared"}
        sys.stdout.write(json.dumps(snapshot(scope, declared)))  # dump is ten times as slow
        return 0
    if args[:1] == ["compare"]:
        before, after, *reports = (a for a in args[1:] if a != "--still")
        return compare(before, after, reports, "--still" in args)
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    try:
        status = main(sys.argv[1:])
    except Exception as error:  # else Python's exit status is 1: it disagrees
        import traceback

        traceback.print_exc()
        status = 2
    sys.exit(status)
