#!/usr/bin/env python3
"""Build flight data in the 15 columns of the walk-through: US flights of January to June 2001.

Python 3 standard library only (plus libzstd.so.1). Same input and options give the same bytes.
Input: flights-3m.parquet of the npm package vega-datasets 3.2.1 (US DOT on-time records). Its date, origin, destination and
arrival delay are real. AIRLINE_ID, DEP_DELAY and CANCELLED are not in that file and are DERIVED by a fixed rule: a carrier with a
hub at either end, the arrival delay less a small en-route drift, and 2.7 % of rows cancelled (their delays empty).
More rows than the source has: it is repeated with its dates moved on by its whole length.
"""
import argparse
import ctypes
import datetime
import gzip
import hashlib
import os
import struct
import sys
import zlib

# --- facts ------------------------------------------------------------------
# DOT airline ids (BTS table L_AIRLINE_ID).
AIRLINE = dict(p.split(':') for p in """
9E:20363 AA:19805 AQ:19678 AS:19930 B6:20409 CO:19704 DL:19790 EV:20366 F9:20436
FL:20437 HA:19690 HP:19991 MQ:20398 NW:19386 OH:20417 OO:20304 UA:19977
US:20355 WN:19393 XE:20374 YV:20378""".split())

# US Census Bureau regions and divisions.
DIVISIONS = """
Northeast|New England|CT ME MA NH RI VT
Northeast|Middle Atlantic|NJ NY PA
Midwest|East North Central|IL IN MI OH WI
Midwest|West North Central|IA KS MN MO NE ND SD
South|South Atlantic|DE DC FL GA MD NC SC VA WV
South|East South Central|AL KY MS TN
South|West South Central|AR LA OK TX
West|Mountain|AZ CO ID MT NV NM UT WY
West|Pacific|AK CA HI OR WA
||PR VI"""          # territories belong to no Census region: empty fields

STATE = dict(p.split(':') for p in """
AL:Alabama AK:Alaska AZ:Arizona AR:Arkansas CA:California CO:Colorado CT:Connecticut DE:Delaware
FL:Florida GA:Georgia HI:Hawaii ID:Idaho IL:Illinois IN:Indiana IA:Iowa KS:Kansas KY:Kentucky
LA:Louisiana ME:Maine MD:Maryland MA:Massachusetts MI:Michigan MN:Minnesota MS:Mississippi
MO:Missouri MT:Montana NE:Nebraska NV:Nevada NH:New_Hampshire NJ:New_Jersey NM:New_Mexico
NY:New_York NC:North_Carolina ND:North_Dakota OH:Ohio OK:Oklahoma OR:Oregon PA:Pennsylvania
RI:Rhode_Island SC:South_Carolina SD:South_Dakota TN:Tennessee TX:Texas UT:Utah VT:Vermont
VA:Virginia WA:Washington WV:West_Virginia WI:Wisconsin WY:Wyoming
PR:Puerto_Rico VI:Virgin_Islands""".replace('_', '\x00').split())
STATE = {k: v.replace('\x00', ' ') for k, v in STATE.items()}

AIRPORT_STATE = """
ABE:PA ABI:TX ABQ:NM ABY:GA ACT:TX ACV:CA ACY:NJ ADK:AK ADQ:AK AEX:LA AGS:GA AKN:AK ALB:NY ALO:IA
AMA:TX ANC:AK APF:FL ASE:CO ATL:GA ATW:WI AUS:TX AVL:NC AVP:PA AZO:MI BDL:CT BET:AK BFL:CA BGM:NY
BGR:ME BHM:AL BIL:MT BIS:ND BLI:WA BMI:IL BNA:TN BOI:ID BOS:MA BPT:TX BQK:GA BQN:PR BRO:TX BRW:AK
BTM:MT BTR:LA BTV:VT BUF:NY BUR:CA BWI:MD BZN:MT CAE:SC CAK:OH CDC:UT CDV:AK CEC:CA CHA:TN CHO:VA
CHS:SC CIC:CA CID:IA CLD:CA CLE:OH CLL:TX CLT:NC CMH:OH CMI:IL CMX:MI COD:WY COS:CO CPR:WY CRP:TX
CRW:WV CSG:GA CVG:KY CWA:WI CYS:WY DAB:FL DAL:TX DAY:OH DBQ:IA DCA:VA DEN:CO DFW:TX DHN:AL DLG:AK
DLH:MN DRO:CO DSM:IA DTW:MI DUT:AK EGE:CO EKO:NV ELM:NY ELP:TX ERI:PA EUG:OR EVV:IN EWN:NC EWR:NJ
EYW:FL FAI:AK FAR:ND FAT:CA FAY:NC FCA:MT FLG:AZ FLL:FL FLO:SC FNT:MI FSD:SD FSM:AR FWA:IN GCC:WY
GEG:WA GFK:ND GGG:TX GJT:CO GNV:FL GPT:MS GRB:WI GRK:TX GRR:MI GSO:NC GSP:SC GST:AK GTF:MT GTR:MS
GUC:CO HDN:CO HHH:SC HLN:MT HNL:HI HOU:TX HPN:NY HRL:TX HSV:AL IAD:VA IAH:TX ICT:KS IDA:ID ILE:TX
ILM:NC IND:IN IPL:CA ISP:NY ITH:NY ITO:HI IYK:CA JAC:WY JAN:MS JAX:FL JFK:NY JNU:AK KOA:HI KTN:AK
LAN:MI LAS:NV LAW:OK LAX:CA LBB:TX LCH:LA LEX:KY LFT:LA LGA:NY LGB:CA LIH:HI LIT:AR LNK:NE LRD:TX
LSE:WI LWB:WV LWS:ID LYH:VA MAF:TX MBS:MI MCI:MO MCN:GA MCO:FL MDT:PA MDW:IL MEI:MS MEM:TN MFE:TX
MFR:OR MGM:AL MHT:NH MIA:FL MKE:WI MKG:MI MLB:FL MLI:IL MLU:LA MOB:AL MOD:CA MOT:ND MQT:MI MRY:CA
MSN:WI MSO:MT MSP:MN MSY:LA MTJ:CO MYR:SC OAJ:NC OAK:CA OGD:UT OGG:HI OKC:OK OMA:NE OME:AK ONT:CA
ORD:IL ORF:VA ORH:MA OTZ:AK OXR:CA PBI:FL PDX:OR PFN:FL PHF:VA PHL:PA PHX:AZ PIA:IL PIH:ID PIT:PA
PLN:MI PMD:CA PNS:FL PSC:WA PSE:PR PSG:AK PSP:CA PVD:RI PWM:ME RAP:SD RDD:CA RDM:OR RDU:NC RFD:IL
RHI:WI RIC:VA RKS:WY RNO:NV ROA:VA ROC:NY ROW:NM RST:MN RSW:FL SAN:CA SAT:TX SAV:GA SBA:CA SBN:IN
SBP:CA SCC:AK SCE:PA SDF:KY SEA:WA SFO:CA SGF:MO SGU:UT SHV:LA SIT:AK SJC:CA SJT:TX SJU:PR SLC:UT
SLE:OR SMF:CA SMX:CA SNA:CA SPI:IL SPS:TX SRQ:FL STL:MO STT:VI STX:VI SUN:ID SUX:IA SWF:NY SYR:NY
TEX:CO TLH:FL TOL:OH TPA:FL TRI:TN TUL:OK TUP:MS TUS:AZ TVC:MI TWF:ID TXK:AR TYR:TX TYS:TN VLD:GA
VPS:FL WRG:AK XNA:AR YAK:AK YKM:WA YUM:AZ"""

# Carriers with a hub or focus city, 2001 (for the derived AIRLINE_ID of --source 2001 only).
HUBS_2001 = """
ANC:AS ATL:DL BDL:US BNA:WN BOS:US,DL,AA BWI:WN,US CLE:CO CLT:US CMH:HP CVG:DL DAL:WN DCA:US,DL
DEN:UA DFW:AA,DL,MQ DTW:NW EWR:CO HNL:AQ,NW HOU:WN IAD:UA IAH:CO IND:US,NW ITO:AQ JFK:AA,DL KOA:AQ
LAS:HP,WN LAX:UA,WN,AA,MQ LGA:US,DL,AA LIH:AQ MCI:WN,AA MCO:DL,US MDW:WN MEM:NW MIA:AA,MQ MSP:NW
OAK:WN,UA OGG:AQ ONT:WN ORD:UA,AA,MQ PDX:AS,UA PHL:US PHX:HP,WN PIT:US RDU:US,AA SAN:WN,UA SEA:AS,UA
SFO:UA SJC:AA,WN SJU:AA SLC:DL SMF:WN STL:AA,WN TPA:US,DL"""


def airports():
    """airport code -> 'REGION,DIVISION,STATE NAME,ST,AIRPORT'"""
    place = {}
    for line in DIVISIONS.split('\n'):
        if line:
            region, division, states = line.split('|')
            for s in states.split():
                place[s] = (region, division)
    out = {}
    for pair in AIRPORT_STATE.split():
        ap, st = pair.split(':')
        out[ap] = ','.join(place[st] + (STATE[st], st, ap))
    return out


# --- source 2001: just enough Parquet for a flat file of zstd dictionary pages
class Thrift:
    """Thrift compact protocol -> {field id: value}"""
    def __init__(self, buf, pos=0):
        self.b, self.p = buf, pos

    def varint(self):
        n = shift = 0
        while True:
            c = self.b[self.p]; self.p += 1
            n |= (c & 127) << shift
            if c < 128:
                return n
            shift += 7

    def value(self, t):
        if t in (1, 2):
            return t == 1
        if t == 3:
            self.p += 1
            return self.b[self.p - 1]
        if t in (4, 5, 6):
            n = self.varint()
            return (n >> 1) ^ -(n & 1)
        if t == 7:
            self.p += 8
            return struct.unpack_from('<d', self.b, self.p - 8)[0]
        if t == 8:
            n = self.varint(); self.p += n
            return bytes(self.b[self.p - n:self.p])
        if t in (9, 10):
            h = self.b[self.p]; self.p += 1
            n, et = h >> 4, h & 15
            if n == 15:
                n = self.varint()
            if et in (1, 2):
                self.p += n
                return [c == 1 for c in self.b[self.p - n:self.p]]
            return [self.value(et) for _ in range(n)]
        if t == 12:
            return self.struct()
        raise ValueError('thrift type %d' % t)

    def struct(self):
        out, fid = {}, 0
        while True:
            h = self.b[self.p]; self.p += 1
            if h == 0:
                return out
            if h >> 4:
                fid += h >> 4
            else:
                n = self.varint(); fid = (n >> 1) ^ -(n & 1)
            out[fid] = self.value(h & 15)


_zstd = None
def unzstd(src, size):
    global _zstd
    if _zstd is None:
        _zstd = ctypes.CDLL('libzstd.so.1')
        _zstd.ZSTD_decompress.restype = ctypes.c_size_t
        _zstd.ZSTD_decompress.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    dst = ctypes.create_string_buffer(size)
    if _zstd.ZSTD_decompress(dst, size, src, len(src)) != size:
        raise ValueError('bad zstd page')
    return dst.raw


def hybrid(buf, pos, width, count):
    """RLE / bit-packed hybrid -> list of count ints"""
    t, out, mask = Thrift(buf, pos), [], (1 << width) - 1
    shifts = [width * i for i in range(8)]
    while len(out) < count:
        h = t.varint()
        if h & 1:
            for _ in range(h >> 1):
                x = int.from_bytes(buf[t.p:t.p + width], 'little'); t.p += width
                out += [(x >> s) & mask for s in shifts]
        else:
            nb = (width + 7) // 8
            out += [int.from_bytes(buf[t.p:t.p + nb], 'little')] * (h >> 1); t.p += nb
    del out[count:]
    return out


def column(buf, meta):
    """decode one column chunk of a required or null-free optional flat column"""
    def plain(page, pos, n):
        if meta[1] == 2:
            return list(struct.unpack_from('<%dq' % n, page, pos))
        out = []
        for _ in range(n):
            k = int.from_bytes(page[pos:pos + 4], 'little')
            out.append(page[pos + 4:pos + 4 + k].decode('ascii')); pos += 4 + k
        return out
    pos, out, words = meta.get(11) or meta[9], [], None
    while len(out) < meta[5]:
        t = Thrift(buf, pos); head = t.struct()
        raw = bytes(buf[t.p:t.p + head[3]]); pos = t.p + head[3]
        if head[1] == 2:
            page = unzstd(raw, head[2]) if meta[4] == 6 else raw
            words = plain(page, 0, head[7][1])
            continue
        if head[1] == 3:
            h = head[8]; skip = h[5] + h[6]; n, enc = h[1], h[4]
            assert h[2] == 0, 'nulls'
            page, at = raw[skip:], 0
            if meta[4] == 6 and h.get(7, True):
                page = unzstd(page, head[2] - skip)
        else:
            h = head[5]; n, enc = h[1], h[2]
            page = unzstd(raw, head[2]) if meta[4] == 6 else raw
            k = int.from_bytes(page[:4], 'little')
            assert min(hybrid(page, 4, 1, n)) == 1, 'nulls'
            at = 4 + k
        if enc in (2, 8):
            width = page[at]
            out += [words[i] for i in hybrid(page, at + 1, width, n)] if width else [words[0]] * n
        elif enc == 0:
            out += plain(page, at, n)
        else:
            raise ValueError('encoding %d' % enc)
    return out


def rows_2001(path):
    buf = open(path, 'rb').read()
    assert buf[:4] == buf[-4:] == b'PAR1', 'not a parquet file'
    size = int.from_bytes(buf[-8:-4], 'little')
    footer = Thrift(buf, len(buf) - 8 - size).struct()
    hubs = dict((k, v.split(',')) for k, v in (p.split(':') for p in HUBS_2001.split()))
    everyone = sorted({c for v in hubs.values() for c in v})
    choice, epoch = {}, datetime.date(1970, 1, 1).toordinal()
    for group in footer[4]:
        cols = {c[3][3][-1].decode(): c[3] for c in group[1]}
        when, delay, origin, dest = (column(buf, cols[k]) for k in ('date', 'delay', 'origin', 'destination'))
        for us, arr, o, d in zip(when, delay, origin, dest):
            minute = us // 60000000
            day, key = minute // 1440, '%s%s%d' % (o, d, minute % 1440)
            airline = choice.get(key)
            if airline is None:
                a, b = hubs.get(o, []), hubs.get(d, [])
                both = [c for c in a if c in b] or a + b or everyone
                airline = choice[key] = AIRLINE[both[zlib.crc32(key.encode()) % len(both)]]
            h = zlib.crc32(b'%s %d %d' % (key.encode(), day, arr))
            if h % 1000 < 27:
                yield day + epoch, airline, o, d, '', '', '1'
            else:
                yield day + epoch, airline, o, d, str(arr + 12 - (h >> 10) % 21), str(arr), '0'


# --- output -----------------------------------------------------------------
def endless(make):
    """the source for ever, later passes shifted by whole source lengths"""
    first = last = None
    shift = 0
    while True:
        for row in make():
            if first is None:
                first = row[0]
            last = row[0] if last is None or row[0] > last else last
            yield (row[0] + shift,) + row[1:]
        shift += last - first + 1


def progress(done, total, shown):
    """a bar on stderr where a person looks; nothing in a log"""
    if not sys.stderr.isatty():
        return shown
    percent = done * 100 // total
    if percent != shown:
        bar = '#' * (percent // 4)
        sys.stderr.write('\rmaking flights [%-25s] %3d %%%s' % (bar, percent, '\n' if done == total else ''))
        sys.stderr.flush()
    return percent


def lines(path, rows):
    """the rows as text"""
    place, dates, delays = airports(), {}, {'': ''}
    n, shown = 0, -1
    for day, airline, origin, dest, dep, arr, cancelled in endless(lambda: rows_2001(path)):
        if n == rows:
            return
        date = dates.get(day)
        if date is None:
            date = dates[day] = datetime.date.fromordinal(day).isoformat() + ' 00:00:00'
        for v in (dep, arr):
            if v not in delays:
                delays[v] = v + '.00'
        n += 1
        if n % 10000 == 0 or n == rows:
            shown = progress(n, rows, shown)
        yield '%s,%s,%s,%s,%s,%s,%s\n' % (date, airline, place[origin], place[dest], delays[dep], delays[arr], cancelled)


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument('--input', required=True, help='flights-3m.parquet')
    ap.add_argument('--rows', type=int, default=1000000)
    ap.add_argument('--parts', type=int, default=1, help='split round-robin into this many files')
    ap.add_argument('--out', default='.', help='folder')
    ap.add_argument('--name', default='flight_data')
    ap.add_argument('--level', type=int, default=6, help='gzip level; 0 writes plain .csv')
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    ext = '.gz' if a.level else '.csv'
    names = [a.name + ext] if a.parts == 1 else ['%s.%03d%s' % (a.name, i, ext) for i in range(a.parts)]
    raw = [open(os.path.join(a.out, n), 'wb') for n in names]
    outs = [gzip.GzipFile('', 'wb', a.level, f, mtime=0) for f in raw] if a.level else raw
    pending, sha, n = [[] for _ in outs], hashlib.sha256(), 0
    for line in lines(a.input, a.rows):
        i = n % a.parts
        pending[i].append(line)
        sha.update(line.encode('ascii'))
        n += 1
        if len(pending[i]) >= 8192:
            outs[i].write(''.join(pending[i]).encode('ascii'))
            pending[i].clear()
    for o, f, rest in zip(outs, raw, pending):
        o.write(''.join(rest).encode('ascii'))
        o.close()
        f.close()
    print('%d rows, sha256 of all rows in order %s' % (n, sha.hexdigest()))


if __name__ == '__main__':
    main()
