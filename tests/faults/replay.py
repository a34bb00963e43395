"""Reads the shim's log and builds the disk as a power cut at any of its positions could have left it.

The model (docs/decisions/9-power-cuts.md): what a completed flush covers is there. Of the rest each operation is kept, dropped
or, for writes, torn at 512-byte sectors, file by file and folder by folder, independently and by a seed. A name is durable by
its folder's flush alone; only under PostgreSQL's own folder a file's flush also keeps the file's name, as Linux's file systems
do and PostgreSQL relies on.
"""
import mmap
import os
import random
import stat
import struct

MAGIC = 0x3153544c55414653
RECORD_MAGIC = 0x44524346
CONTROL = struct.Struct('<QQQQIIIIi20sqQ')
RECORD = struct.Struct('<IIQQQQqQQQIIIIIHH')
CONTROL_BYTES = 4096
SECTOR = 512
OPEN, WRITE, TRUNC, GROW, RENAME, LINK, UNLINK, MKDIR, RMDIR, SYNC, SYNCALL, SYMLINK, CONTENT, UNSEEN = range(1, 15)
KINDS = {'malloc': 1, 'write': 2, 'sync': 4, 'trunc': 8, 'name': 16, 'create': 32, 'grow': 64}
VOLATILE = ('run', 'log', 'lib', 'lock')  # under DATA: made anew at each start, nothing promised


class Log:
    """The shared log file; its control page steers the shim while processes run."""

    def __init__(self, path, device, limit):
        self.path = path
        with open(path, 'wb') as f:
            f.truncate(CONTROL_BYTES)
            f.write(CONTROL.pack(MAGIC, device, CONTROL_BYTES, limit, 0, 0, 0, 0, 0, b'', 0, 0))
        os.chmod(path, 0o666)
        self.file = open(path, 'r+b')
        self.page = mmap.mmap(self.file.fileno(), CONTROL_BYTES)

    def tail(self):
        """the position that the next record will get"""
        return struct.unpack_from('<Q', self.page, 16)[0]

    def record(self, on):
        struct.pack_into('<I', self.page, 32, int(on))

    def full(self):
        return struct.unpack_from('<I', self.page, 36)[0] != 0

    def fail(self, process, kinds, error, nth, sticky=False, flushed=None):
        """makes the nth call of these kinds by the process fail, and with `sticky` all after it; of the flushes those of the file `flushed` alone"""
        struct.pack_into('<I', self.page, 40, 0)
        struct.pack_into('<Q', self.page, 96, os.stat(flushed).st_ino if flushed else 0)
        struct.pack_into('<Ii20sqQ', self.page, 44, int(sticky), error, process.encode(), nth, 0)
        struct.pack_into('<I', self.page, 40, sum(KINDS[k] for k in kinds))

    def left(self):
        """what the countdown of `fail` stands at"""
        return struct.unpack_from('<q', self.page, 72)[0]

    def pass_all(self):
        """ends failing; how many calls were made to fail"""
        struct.pack_into('<I', self.page, 40, 0)
        return struct.unpack_from('<Q', self.page, 80)[0]

    def disk_full(self, on):
        """no file gets a block that it doesn't have"""
        struct.pack_into('<I', self.page, 88, int(on))

    def close(self):
        self.page.close()
        self.file.close()


class Object:
    """A file or folder by its inode: what was done to it, in order, and when it was flushed."""

    def __init__(self, ino, kind, mode, uid, gid, born):
        self.ino, self.kind, self.mode, self.uid, self.gid, self.born = ino, kind, mode, uid, gid, born
        self.ops = []    # files: (position, op, offset, data offset, length); folders: (position, op, name, object, name2 or object2)
        self.syncs = []  # (position of the record, start)
        self.names = {}  # folders: the live ones
        self.path = None  # the last known, for patterns and messages
        self.target = None
        self.whole = None  # content once all of it is flushed and final

    def floor(self, cut, ignore=False):
        return 0 if ignore else max((s for at, s in self.syncs if at < cut), default=0)


class Mismatch(Exception):
    pass


class History:
    """All of a log, by object. `root` is the real folder, as it was before the first record: empty folders at most."""

    def __init__(self, root):
        self.by_ino = {}
        self.records = 0
        self.positions = []
        self.root = self.snapshot(root)

    def snapshot(self, path):
        st = os.stat(path)
        o = Object(st.st_ino, 'dir', st.st_mode, st.st_uid, st.st_gid, 0)
        self.by_ino[st.st_ino] = o
        o.path = path
        for name in os.listdir(path):
            child = os.path.join(path, name)
            if os.path.isdir(child):
                o.names[name] = self.snapshot(child)
        o.base = dict(o.names)
        return o

    def read(self, path):
        with open(path, 'rb') as f:
            self.data = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)
        end = struct.unpack_from('<Q', self.data, 16)[0]
        at = CONTROL_BYTES
        while at < end:
            r = RECORD.unpack_from(self.data, at)
            if r[0] != RECORD_MAGIC:
                raise Mismatch('no record at %d of %d' % (at, end))
            names = at + RECORD.size
            name = self.data[names:names + r[15]].decode()
            name2 = self.data[names + r[15]:names + r[15] + r[16]].decode()
            if self.one(at, r[1], r[3], r[4], r[5], r[6], names + r[15] + r[16], r[7], r[8], r[10], r[11:14], name, name2):
                self.positions.append(at)
                self.records += 1
            at += r[2]
        self.end = end

    def one(self, at, op, ino, folder, folder2, offset, data, size, start, flags, owner, name, name2):
        """one record; False when it is not about files below the root"""
        if op in (OPEN, MKDIR, RENAME, LINK, UNLINK, RMDIR, SYMLINK):
            d = self.by_ino.get(folder)
            return d is not None and d.kind == 'dir' and self.name_op(at, op, d, ino, folder2, flags, owner, name, name2)
        if op == SYNCALL:
            for o in list(self.by_ino.values()):
                o.syncs.append((at, start))
            return True
        o = self.by_ino.get(ino)
        if o is None:
            return False
        if op == SYNC:
            o.syncs.append((at, start))
        elif op == UNSEEN:
            if not (o.path or '').endswith('-shm'):
                raise Mismatch('%s is written where the recorder does not see it' % o.path)
        elif o.kind == 'file':
            o.ops.append((at, op, offset, data, size))
        return True

    def name_op(self, at, op, d, ino, folder2, flags, owner, name, name2):
        live = d.names.get(name)
        if op in (OPEN, MKDIR):
            if live is not None and op == OPEN:
                if live.ino != ino:
                    raise Mismatch('%s/%s is inode %d, not %d' % (d.path, name, live.ino, ino))
                if flags & os.O_TRUNC:
                    live.ops.append((at, TRUNC, 0, 0, 0))
                return True
            o = Object(ino, 'file' if op == OPEN else 'dir', owner[0], owner[1], owner[2], at)
            o.base = {}
            o.path = '%s/%s' % (d.path, name)
            self.by_ino[ino] = o
            self.enter(d, at, 'set', name, o)
        elif op == SYMLINK:
            o = Object(0, 'link', 0o777, 0, 0, at)
            o.target = name2
            self.enter(d, at, 'set', name, o)
        elif live is None and self.volatile(d):
            return False
        elif live is None:
            raise Mismatch('%s/%s is not known' % (d.path, name))
        elif op in (UNLINK, RMDIR):
            d.ops.append((at, 'drop', name, live, None))
            del d.names[name]
        else:
            d2 = self.by_ino.get(folder2)
            if d2 is None:
                raise Mismatch('%s/%s leaves what is recorded' % (d.path, name))
            if op == RENAME and d2 is d:
                d.ops.append((at, 'move', name, live, name2))
                del d.names[name]
                d.names[name2] = live
            else:
                self.enter(d2, at, 'set', name2, live)
                if op == RENAME:
                    d.ops.append((at, 'drop', name, live, None))
                    del d.names[name]
            live.path = '%s/%s' % (d2.path, name2)
            self.repath(live)
        return True

    def volatile(self, d):
        return d.path[len(self.root.path):].split('/')[2:3] in [[v] for v in VOLATILE]

    def enter(self, d, at, kind, name, o):
        d.ops.append((at, kind, name, o, None))
        d.names[name] = o

    def repath(self, o):
        for name, child in o.names.items():
            child.path = '%s/%s' % (o.path, name)
            self.repath(child)

    def take_owners(self, path):
        """owners and modes as they ended up, from the real folder"""
        for folder, dirs, files in os.walk(path):
            for name in dirs + files + ['.']:
                st = os.lstat(os.path.join(folder, name))
                o = self.by_ino.get(st.st_ino)
                if o is not None:
                    o.mode, o.uid, o.gid = st.st_mode, st.st_uid, st.st_gid


class Cut:
    """One power cut: position, policy ('lost', 'mixed', 'kept') and seed; `unflushed(path)` names files whose flushes don't count."""

    def __init__(self, history, position, policy, seed, unflushed=None):
        self.h, self.at, self.policy, self.seed, self.unflushed = history, position, policy, seed, unflushed
        self.lost = self.kept = self.torn = 0

    def rnd(self, o):
        return random.Random('%s/%s/%s' % (self.seed, o.born, o.ino))

    def fate(self, rnd, way, can_tear):
        """'keep', 'drop' or 'tear' for one operation that is not flushed"""
        fate = {'lost': 'drop', 'kept': 'keep'}.get(way) or rnd.choice(('keep', 'drop', 'tear') if can_tear else ('keep', 'drop'))
        self.lost, self.kept, self.torn = self.lost + (fate == 'drop'), self.kept + (fate == 'keep'), self.torn + (fate == 'tear')
        return fate

    def way(self, rnd):
        return rnd.choice(('lost', 'kept', 'mixed', 'mixed')) if self.policy == 'mixed' else self.policy

    def ignored(self, o):
        return self.unflushed is not None and self.unflushed(o.path or '')

    def content(self, o):
        cut, data = self.at, self.h.data
        floor = o.floor(cut, self.ignored(o))
        if o.whole is not None and o.whole[0] <= floor:
            return o.whole[1]
        out, rnd = bytearray(), self.rnd(o)
        way = self.way(rnd)
        for at, op, offset, where, size in o.ops:
            if at >= cut:
                break
            fate = 'keep' if at < floor else self.fate(rnd, way, op in (WRITE, CONTENT))
            if fate == 'drop':
                continue
            if op == TRUNC:
                if offset < len(out):
                    del out[offset:]
                else:
                    out.extend(bytes(offset - len(out)))
            elif op == GROW:
                out.extend(bytes(max(0, offset - len(out))))
            else:
                if op == CONTENT:
                    out, offset = bytearray(), 0
                if len(out) < offset:
                    out.extend(bytes(offset - len(out)))
                if fate == 'keep':
                    out[offset:offset + size] = data[where:where + size]
                else:
                    self.tear(out, offset, where, size, rnd)
        if o.ops and o.ops[-1][0] < floor:
            o.whole = (o.ops[-1][0] + 1, bytes(out))
        return out

    def tear(self, out, offset, where, size, rnd):
        """each sector of the write by itself; a size that grew may be kept without its bytes"""
        at = 0
        while at < size:
            n = min(SECTOR - (offset + at) % SECTOR, size - at)
            if rnd.random() < 0.5:
                end = offset + at
                if len(out) < end:
                    out.extend(bytes(end - len(out)))
                out[end:end + n] = self.h.data[where + at:where + at + n]
            at += n

    def names(self, d, lenient):
        cut, floor, rnd = self.at, d.floor(self.at, self.ignored(d)), self.rnd(d)
        way, out = self.way(rnd), dict(d.base)
        for at, kind, name, o, name2 in d.ops:
            if at >= cut:
                break
            durable = at < floor or (lenient and kind != 'drop' and o.kind == 'file' and at < o.floor(cut))
            if not durable and self.fate(rnd, way, False) == 'drop':
                continue
            if kind in ('drop', 'move') and out.get(name) is o:
                del out[name]
            if kind == 'set':
                out[name] = o
            elif kind == 'move':
                out[name2] = o
        return out

    def build(self, path):
        """writes the disk into the new folder `path`"""
        self.build_folder(self.h.root, path, '')

    def build_folder(self, d, path, inside):
        os.mkdir(path, 0o700)
        os.chown(path, d.uid, d.gid)
        os.chmod(path, stat.S_IMODE(d.mode))
        lenient = inside.startswith(('/d/pg/', '/d/pg.new/')) or inside in ('/d/pg', '/d/pg.new')
        for name, o in self.names(d, lenient).items():
            if inside == '/d' and name in VOLATILE:
                continue
            where = path + '/' + name
            if o.kind == 'dir':
                self.build_folder(o, where, inside + '/' + name)
            elif o.kind == 'link':
                os.symlink(o.target, where)
            elif not name.endswith('-shm'):
                fd = os.open(where, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                content = self.content(o)
                if content:
                    os.write(fd, content)
                os.fchown(fd, o.uid, o.gid)
                os.fchmod(fd, stat.S_IMODE(o.mode))
                os.utime(fd, (1000000000, 1000000000))  # long ago, as after a reboot
                os.close(fd)


def compare(built, real):
    """differences between two trees, apart from what is volatile; of a complete recording there are none"""
    out = []

    def one(a, b, inside):
        skip = VOLATILE if inside == '/d' else ()
        left = {n for n in os.listdir(a) if not n.endswith('-shm') and n not in skip}
        right = {n for n in os.listdir(b) if not n.endswith('-shm') and n not in skip and not stat.S_ISSOCK(os.lstat(b + '/' + n).st_mode)}
        out.extend('%s/%s: only in the %s' % (inside, n, 'model' if n in left else 'folder') for n in left ^ right)
        for n in left & right:
            x, y = a + '/' + n, b + '/' + n
            if os.path.isdir(x):
                one(x, y, inside + '/' + n)
            elif not os.path.islink(x):
                with open(x, 'rb') as f, open(y, 'rb') as g:
                    if f.read() != g.read():
                        out.append('%s/%s differs' % (inside, n))

    one(built, real, '')
    return out
