// Random sets of policies and requests, decided by Sealift's engine and by iam-simulate, a public simulator of AWS's evaluation.
// argv: decide_tool, number of sets, seed (default: by the clock). They must agree, or the set has one of the differences of docs/compat.md: for these `documented` rewrites what the
// simulator reads into what AWS's documentation says it means, and then both must agree.
import { spawnSync } from 'node:child_process';
import { anonymousPrincipal, runSimulation } from '@cloud-copilot/iam-simulate';

process.env.TZ = 'UTC';
const [tool, count, seed] = [process.argv[2], Number(process.argv[3]), Number(process.argv[4] ?? Date.now() % 1e9)];
let state = 0;
const random = () => {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
};
const chance = (p) => random() < p;
const pick = (list) => list[Math.floor(random() * list.length)];
const some = (list, max) => Array.from({ length: 1 + Math.floor(random() * max) }, () => pick(list));
const oneOrList = (list) => (list.length === 1 && chance(0.7) ? list[0] : list);

const A = '111111111111', B = '222222222222', ISSUED = '2020-09-13T12:26:40Z';
const user = (account, name, path = '') => ({ type: 'user', account, arn: `arn:aws:iam::${account}:user/${path}${name}`,
  userId: `AIDA${name.toUpperCase()}XXXXXXXXXXXX`, userName: name });
const session = (account, role, name) => ({ type: 'session', account, arn: `arn:aws:sts::${account}:assumed-role/${role}/${name}`,
  roleArn: `arn:aws:iam::${account}:role/${role}`, userId: `AROA${role.toUpperCase()}XXXXXXXXXXXX:${name}` });
const root = (account) => ({ type: 'root', account, arn: `arn:aws:iam::${account}:root`, userId: account });
const PRINCIPALS = [user(A, 'alice', 'team/'), user(A, 'carol'), user(B, 'bob'), session(A, 'Loader', 's1'), session(A, 'Reader', 's2'), session(B, 'Reader', 's3'),
  root(A), root(B), { type: 'service', service: 'redshift.amazonaws.com' }, { type: 'anonymous' }];
const KEY = `arn:aws:kms:us-east-1:${A}:key/1234abcd-12ab-34cd-56ef-1234567890ab`, OBJECT = 'arn:aws:s3:::data/alice/flights.gz', BUCKET = 'arn:aws:s3:::data';
const ROLE = `arn:aws:iam::${A}:role/Target`;
const ACTIONS = [
  ...['kms:Decrypt', 'kms:GenerateDataKey', 'kms:Encrypt', 'kms:DescribeKey', 'kms:ReEncryptFrom', 'kms:PutKeyPolicy'].map((action) => ({ action, resource: KEY, kind: 'key' })),
  ...['s3:GetObject', 's3:PutObject', 's3:DeleteObject'].map((action) => ({ action, resource: OBJECT, kind: 'bucket' })),
  { action: 's3:ListBucket', resource: BUCKET, kind: 'bucket' },
  { action: 'sts:AssumeRole', resource: ROLE, kind: 'trust' },
  { action: 'iam:GetRole', resource: ROLE, kind: 'none' },
  { action: 'kms:ListKeys', resource: '*', kind: 'none' },
  { action: 's3:ListAllMyBuckets', resource: '*', kind: 'none' },
];
const MULTI = ['aws:TagKeys', 'aws:CalledVia', 'kms:EncryptionContextKeys'];
const isMulti = (key) => MULTI.some((m) => m.toLowerCase() === key.toLowerCase());

// Keys that a request may have: values by kind of operator.
const STRINGS = ['team-a', 'team-b', 'Team-A', 'us-east-1', 'eu-west-1', 'a*b', 'alice', 'flights', 'x?'];
const KEYS = {
  'aws:SourceIp': ['ip', ['10.0.0.1', '10.0.1.77', '192.168.7.7', '2001:db8::7', '2001:db8:1::1']],
  'aws:SecureTransport': ['bool', ['true', 'false']],
  'aws:CurrentTime': ['date', ['2026-01-01T00:00:00Z', '2026-06-30T12:30:00Z', '2025-12-31T23:59:59Z']],
  'aws:EpochTime': ['date', ['1767225600', '1782822600', '1767225599']],
  'aws:RequestedRegion': ['string', STRINGS], 'aws:UserAgent': ['string', STRINGS], 'aws:PrincipalTag/team': ['string', STRINGS],
  'aws:PrincipalTag/dept': ['string', STRINGS], 'aws:PrincipalTag/bin': ['binary', ['key', 'kez', 'a']],
  'aws:MultiFactorAuthAge': ['number', ['5', '300', '300.5', '-1', '86400']],
  'aws:SourceAccount': ['string', [A, B]], 'aws:SourceArn': ['arn', [OBJECT, KEY, `arn:aws:redshift:us-east-1:${A}:cluster:one`, `arn:aws:iam::${B}:role/x/y`]],
  'aws:TagKeys': ['string', STRINGS], 'aws:CalledVia': ['string', ['athena.amazonaws.com', 's3.amazonaws.com', 'x.amazonaws.com']],
  'kms:ViaService': ['string', ['s3.us-east-1.amazonaws.com', 's3.eu-west-1.amazonaws.com']], 'kms:CallerAccount': ['string', [A, B]],
  'kms:EncryptionContext:dept': ['string', STRINGS], 'kms:EncryptionContextKeys': ['string', ['dept', 'aws:s3:arn', 'other']],
  's3:prefix': ['string', ['alice/', 'bob/', 'alice/x', '']], 's3:max-keys': ['number', ['5', '300', '1000']], 's3:x-amz-server-side-encryption': ['string', ['aws:kms', 'AES256']],
};
const FACT_KEYS = ['aws:PrincipalArn', 'aws:PrincipalAccount', 'aws:PrincipalType', 'aws:userid', 'aws:username', 'aws:TokenIssueTime', 'aws:MultiFactorAuthPresent',
  'aws:PrincipalIsAWSService', 'aws:PrincipalServiceName', 'aws:ResourceAccount'];
const kindOfKey = (key) => KEYS[key]?.[0] ?? { 'aws:PrincipalArn': 'arn', 'aws:TokenIssueTime': 'date', 'aws:MultiFactorAuthPresent': 'bool', 'aws:PrincipalIsAWSService': 'bool' }[key] ?? 'string';

// What the engine knows by itself and the simulator must be told.
function facts(p, owner) {
  const f = { 'aws:PrincipalIsAWSService': String(p.type === 'service'), 'aws:ResourceAccount': owner };
  if (p.type === 'service') {
    return { ...f, 'aws:PrincipalServiceName': p.service };
  }
  f['aws:PrincipalType'] = { user: 'User', root: 'Account', session: 'AssumedRole', anonymous: 'Anonymous' }[p.type];
  f['aws:userid'] = p.userId ?? 'anonymous';
  if (p.type !== 'anonymous') {
    f['aws:PrincipalArn'] = p.roleArn ?? p.arn;
    f['aws:PrincipalAccount'] = p.account;
  }
  if (p.type === 'user') {
    f['aws:username'] = p.userName;
  }
  if (p.type === 'session') {
    f['aws:TokenIssueTime'] = ISSUED;
    f['aws:MultiFactorAuthPresent'] = 'false';
  }
  return f;
}

const VARIABLES = ['${aws:username}', '${aws:PrincipalTag/team}', "${aws:PrincipalTag/dept, 'flights'}", '${aws:userid}', '${*}', '${?}', '${aws:PrincipalAccount}', '${aws:TagKeys}'];
const withStars = (s) => {
  if (s.length < 2) {
    return '*';
  }
  const at = Math.floor(random() * s.length);
  return chance(0.3) ? s.slice(0, at) + '?' + s.slice(at + 1) : chance(0.5) ? s.slice(0, at) + '*' : s.slice(0, at) + '*' + s.slice(at + 1 + Math.floor(random() * (s.length - at)));
};

const IPS = ['10.0.0.0/16', '10.0.0.1', '10.0.0.1/32', '192.168.0.0/16', '0.0.0.0/0', '2001:db8::/32', '2001:db8::7', '2001:db8:1::/48', '172.16.0.0/12', '10.0.0.0/25'];
const ARNS = [OBJECT, KEY, 'arn:aws:s3:::data/*', 'arn:aws:*:*:*:*', `arn:aws:redshift:*:${A}:cluster:*`, `arn:aws:iam::${A}:user/team/*`, `arn:aws:iam::${A}:role/*`,
  'arn:aws:iam::*:role/?oader', 'arn:aws:iam::111111111111:user/team/alice', 'arn:aws:kms:us-*:*:key/*', 'arn:aws:s3:::data/${aws:username}/*'];
function valueFor(kind, have) {
  const near = have !== undefined && chance(0.6);
  switch (kind) {
    case 'ip': return near && chance(0.4) ? have : pick(IPS);
    case 'bool': return pick(['true', 'false', 'True']);
    case 'number': return near ? have : pick(['5', '300', '300.50', '1000', '-7']);
    case 'date': return near && chance(0.5) ? have : pick(['2026-01-01T00:00:00Z', '2026-01-01', '2026-06-30T14:30:00+02:00', '1767225600', '2025-01-01T00:00Z']);
    case 'arn': return near && chance(0.5) ? have : pick(ARNS);
    case 'binary': return Buffer.from(near ? have : 'key').toString('base64');
    default: return near ? have : pick(STRINGS);
  }
}
const OPS = {
  string: ['StringEquals', 'StringNotEquals', 'StringEqualsIgnoreCase', 'StringNotEqualsIgnoreCase', 'StringLike', 'StringNotLike'],
  number: ['NumericEquals', 'NumericNotEquals', 'NumericLessThan', 'NumericLessThanEquals', 'NumericGreaterThan', 'NumericGreaterThanEquals'],
  date: ['DateEquals', 'DateNotEquals', 'DateLessThan', 'DateLessThanEquals', 'DateGreaterThan', 'DateGreaterThanEquals'],
  bool: ['Bool'], binary: ['BinaryEquals'], ip: ['IpAddress', 'NotIpAddress'], arn: ['ArnEquals', 'ArnLike', 'ArnNotEquals', 'ArnNotLike'],
};
const caseOf = (key) => (chance(0.8) ? key : chance(0.5) ? key.toLowerCase() : key.toUpperCase());

function condition(c) {
  const present = Object.keys(c.context), known = Object.keys(KEYS).filter((k) => /^aws:/.test(k) || k.split(':')[0] === c.action.split(':')[0]);
  const key = chance(0.75) && present.length ? pick(present) : pick([...known, ...FACT_KEYS]);
  const have = [c.context[key]].flat()[0];
  if (chance(0.08)) {
    return ['Null', key, pick(['true', 'false'])];
  }
  const kind = kindOfKey(key);
  let op = pick(OPS[kind]);
  let values = some([0, 1, 2], 3).map(() => valueFor(kind, have));
  if (kind === 'string') {
    values = values.map((v) => (op.endsWith('Like') && chance(0.5) ? withStars(v) : chance(0.12) ? pick(VARIABLES) : chance(0.05) ? 'a${*}b' : chance(0.1) ? v.toUpperCase() : v));
  }
  if (isMulti(key) ? chance(0.85) : chance(0.08)) {
    op = (/EncryptionContext:/.test(key) ? 'ForAnyValue:' : pick(['ForAnyValue:', 'ForAllValues:'])) + op;
  }
  return [op + (chance(0.12) ? 'IfExists' : ''), caseOf(key), oneOrList(values)];
}

function conditions(c) {
  const out = {};
  for (let n = chance(0.55) ? 0 : 1 + Math.floor(random() * 2); n > 0; n--) {
    const [op, key, value] = condition(c);
    const members = (out[op] ??= {});
    if (!Object.keys(members).some((k) => k.toLowerCase() === key.toLowerCase())) {
      members[key] = value;
    }
  }
  return Object.keys(out).length ? { Condition: out } : {};
}

function actions(c, one) {
  const [service, name] = c.action.split(':');
  const like = () => pick(['*', `${service}:*`, c.action, c.action, c.action.toLowerCase(), `${service}:${withStars(name)}`, `${service.toUpperCase()}:${name}`]);
  const other = () => pick(['s3:PutObject', 's3:Get*', 'kms:Describe*', 'kms:*', 'iam:*', 'sts:AssumeRole', 's3:List*']);
  const fits = (a) => one === undefined || a.toLowerCase().startsWith(one) || (a === '*' && one !== 'sts:');
  return some([0, 1, 2], 2).map(() => {
    for (;;) {
      const a = chance(0.75) ? like() : other();
      if (fits(a)) {
        return a;
      }
      if (one === 'sts:') {
        return pick(['sts:AssumeRole', 'sts:*', 'sts:assume*', 'sts:TagSession']);
      }
    }
  });
}

function resources(c, kind, negated) {
  const own = () => {
    const parts = c.resource.split(':');
    const id = parts.slice(5).join(':'), slash = id.indexOf('/') + 1;
    const tail = c.resource.startsWith('arn:aws:s3') ? withStars(id) : id.slice(0, slash) + withStars(id.slice(slash));
    if (kind !== 'bucket' && chance(0.15)) { // stars in the middle pieces, one of which may run over a colon
      return [...parts.slice(0, 3), pick([parts[3], '*', 'us-*', 'us-*-1']), pick([parts[4], '*', '1*', '1*1', '????????????']), tail].join(':');
    }
    return chance(0.12) && c.kind === 'bucket' ? `arn:aws:s3:::data/${pick(VARIABLES)}/*` : [...parts.slice(0, 5), tail].join(':');
  };
  return some([0, 1, 2], 2).map(() => {
    if (kind === 'bucket') {
      return pick([c.resource, c.resource, 'arn:aws:s3:::data/*', 'arn:aws:s3:::*', 'arn:aws:s3:::data', 'arn:aws:s3:::other/*', own()]);
    }
    if (c.resource === '*') {
      return pick(['*', '*', KEY, 'arn:aws:s3:::*']);
    }
    const short = negated || kind !== 'identity' ? [] : [`arn:aws:${c.action.split(':')[0]}`, `arn:aws:${c.resource.split(':')[2]}:*`, 'arn:aws:sqs'];
    return pick(['*', '*', c.resource, c.resource, own(), own(), 'arn:aws:s3:::data/*', KEY, 'arn:aws:kms:*:*:key/*', ...short]);
  });
}

function principals(c) {
  const p = c.principal;
  const own = p.type === 'service' ? [{ Service: p.service }] : p.type === 'anonymous' ? ['*'] : p.type === 'session'
    ? [{ AWS: p.arn }, { AWS: p.roleArn }, { AWS: p.account }, { AWS: `arn:aws:iam::${p.account}:root` }] : [{ AWS: p.arn }, { AWS: p.account }];
  const other = [{ AWS: A }, { AWS: B }, { AWS: PRINCIPALS[0].arn }, { AWS: PRINCIPALS[2].arn }, { AWS: PRINCIPALS[3].roleArn }, { AWS: PRINCIPALS[4].arn }, { AWS: '*' },
    { Service: 'redshift.amazonaws.com' }, { Service: 'ec2.amazonaws.com' }];
  if (chance(0.15)) {
    return '*';
  }
  const out = {};
  for (const one of some([0, 1, 2], 3).map(() => (chance(0.7) ? pick(own) : pick(other)))) {
    const [kind, name] = Object.entries(one === '*' ? { AWS: '*' } : one)[0];
    out[kind] = [...new Set([...(out[kind] ?? []), name])];
  }
  return Object.fromEntries(Object.entries(out).map(([k, v]) => [k, oneOrList(v)]));
}

function statement(c, kind) {
  const s = { Effect: chance(0.22) ? 'Deny' : 'Allow' };
  const ofResource = kind === 'key' || kind === 'bucket' || kind === 'trust';
  if (ofResource) {
    s[s.Effect === 'Deny' && kind !== 'trust' && chance(0.25) ? 'NotPrincipal' : 'Principal'] = principals(c);
    if (s.NotPrincipal === '*') {
      s.NotPrincipal = { AWS: '*' };
    }
  }
  const one = kind === 'bucket' ? 's3:' : kind === 'trust' ? 'sts:' : undefined;
  s[kind !== 'trust' && chance(0.1) ? 'NotAction' : 'Action'] = oneOrList(actions(c, one));
  if (kind === 'key') {
    s.Resource = '*';
  } else if (kind !== 'trust') {
    const negated = kind !== 'bucket' && chance(0.1);
    s[negated ? 'NotResource' : 'Resource'] = oneOrList(resources(c, kind, negated));
  }
  return { ...s, ...conditions(c) };
}

function policy(c, kind) {
  const list = some([0, 1, 2], 3).map(() => statement(c, kind));
  return { ...(chance(0.93) ? { Version: '2012-10-17' } : chance(0.5) ? { Version: '2008-10-17' } : {}), Statement: list.length === 1 && chance(0.3) ? list[0] : list };
}

function scenario(index) {
  state = (seed * 1000003 + index) | 0;
  const what = pick(ACTIONS);
  const fit = PRINCIPALS.filter((p) => (p.type !== 'anonymous' || what.kind === 'bucket') && (p.type !== 'service' || what.kind !== 'none') && (p.type !== 'root' || what.kind !== 'trust'));
  const c = { index, ...what, owner: A, principal: pick(fit) };
  if (what.resource === '*') {
    c.owner = c.principal.account;
  }
  c.context = facts(c.principal, c.owner);
  for (const key of Object.keys(KEYS)) {
    if (chance(0.45) && (/^aws:/.test(key) || key.split(':')[0] === c.action.split(':')[0])) {
      c.context[key] = isMulti(key) ? (chance(0.1) ? [] : [...new Set(some(KEYS[key][1], 3))]) : pick(KEYS[key][1]);
    }
  }
  const own = ['user', 'session'].includes(c.principal.type);
  c.identity = own ? Array.from({ length: Math.floor(random() * 3) }, () => policy(c, 'identity')) : [];
  c.boundary = own && chance(0.25) ? policy(c, 'identity') : undefined;
  c.session = c.principal.type === 'session' && chance(0.35) ? [policy(c, 'identity'), ...(chance(0.3) ? [policy(c, 'identity')] : [])] : [];
  c.policy = c.kind === 'none' || (c.kind === 'bucket' && chance(0.3)) ? undefined : policy(c, c.kind);
  return c;
}

const statements = (doc) => [doc.Statement].flat();
const merged = (docs) => ({ Version: '2012-10-17', Statement: docs.flatMap(statements) });
const ALL = { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: '*', Resource: '*' }] };

async function simulated(c) {
  const context = Object.fromEntries(Object.entries(c.context).map(([k, v]) => [k, kindOfKey(k) === 'binary' ? Buffer.from(v).toString('base64') : v]));
  // To the simulator the root user is one with every right in its account.
  const identity = c.principal.type === 'root' ? [ALL] : c.identity;
  const r = await runSimulation({
    request: { action: c.action, resource: { resource: c.resource, accountId: c.owner }, principal: c.principal.type === 'anonymous' ? anonymousPrincipal : c.principal.arn ?? c.principal.service,
      contextVariables: context },
    identityPolicies: identity.map((p, i) => ({ name: `p${i}`, policy: p })), serviceControlPolicies: [], resourceControlPolicies: [],
    ...(c.policy ? { resourcePolicy: c.policy } : {}), ...(c.session.length ? { sessionPolicy: merged(c.session) } : {}),
    ...(c.boundary ? { permissionBoundaryPolicies: [{ name: 'b', policy: c.boundary }] } : {}),
  }, { simulationMode: 'Strict' });
  if (r.resultType !== 'single') {
    throw new Error(`the simulator refuses set ${c.index}: ${JSON.stringify(r)}\n${JSON.stringify(c)}`);
  }
  return { allowed: r.overallResult === 'Allowed', ignored: r.result.ignoredContextKeys };
}

const question = (c) => JSON.stringify({ principal: c.principal, action: c.action, resource: c.resource, owner: c.owner,
  keys: Object.fromEntries(Object.entries(c.context).filter(([k]) => !FACT_KEYS.includes(k)).map(([k, v]) => [k, [v].flat()])),
  identity: c.identity.map((p) => JSON.stringify(p)), boundary: c.boundary && JSON.stringify(c.boundary), session: c.session.map((p) => JSON.stringify(p)),
  policy: c.policy && JSON.stringify(c.policy), kind: c.kind });

// Differences in which AWS's documentation is on our side; each is a row of docs/compat.md. A rewrite of one statement for the simulator, or null for "it does not apply".
const valueOf = (c, key) => { const k = Object.keys(c.context).find((n) => n.toLowerCase() === key.toLowerCase()); return k === undefined ? undefined : c.context[k]; };
const missing = (c, key) => [valueOf(c, key) ?? []].flat().length === 0;
const plain = (op) => !op.startsWith('For') && op !== 'Null';
const eachCondition = (s, f) => {
  const out = {};
  for (const [op, members] of Object.entries(s.Condition ?? {})) {
    for (const [key, value] of Object.entries(members)) {
      const r = f(op, key, [value].flat());
      if (r !== null) {
        (out[r[0]] ??= {})[r[0] in out && Object.keys(out[r[0]]).some((k) => k.toLowerCase() === key.toLowerCase()) ? alias(out[r[0]], key) : key] = r[1];
      }
    }
  }
  const { Condition, ...rest } = s;
  return Object.keys(out).length ? { ...rest, Condition: out } : rest;
};
// Another spelling of a key, as one operator can't name a key twice.
const alias = (members, key) => { for (let i = 0; ; i++) { const k = [...key].map((ch, n) => ((i >> n) & 1 ? ch.toUpperCase() : ch.toLowerCase())).join(''); if (!(k in members)) { return k; } } };
const unresolved = (c, v) => [...v.matchAll(/\$\{([^}]*)\}/g)].some(([, name]) => {
  const [key, fallback] = name.split(', ');
  const have = valueOf(c, key.trim());
  return !['*', '?', '$'].includes(key) && (have === undefined ? fallback === undefined : Array.isArray(have));
});
const awsNames = (p) => (p === '*' ? ['*'] : [p?.AWS ?? []].flat());
const crossing = (pattern, resource) => {
  const parts = pattern.split(':');
  if (!parts.slice(0, 5).some((x) => x.endsWith('*'))) {
    return false;
  }
  const piece = (x, last) => x.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\?/g, last ? '.' : '[^:]').replace(/\*/g, (_, at) => (last || at === x.length - 1 ? '.*' : '[^:]*'));
  return new RegExp(`^${[...parts.slice(0, 5).map((x) => piece(x, false)), piece(parts.slice(5).join(':'), true)].join(':')}$`).test(resource);
};
const REWRITES = {
  'variables only in documents of 2012-10-17': (c, s, doc) => (doc.Version === '2012-10-17' ? s : JSON.parse(JSON.stringify(s).replaceAll('${', '\\u0001{'))),
  '${*}, ${?} and ${$} in every string operator': (c, s) => eachCondition(s, (op, key, v) => [op, op.includes('Like') ? v : v.map((x) => x.replace(/\$\{([*?$])\}/g, '$1'))]),
  'IfExists with ForAnyValue': (c, s) => eachCondition(s, (op, key, v) => (op.startsWith('ForAny') && op.endsWith('IfExists') && missing(c, key) ? null : [op, v])),
  'an empty list is no value': (c, s) => eachCondition(s, (op, key, v) => (missing(c, key) && valueOf(c, key) && plain(op) && /Not|IfExists/.test(op) ? null
    : op === 'Null' && missing(c, key) ? [op, v.map((x) => (valueOf(c, key) === undefined ? x : x === 'true' ? 'false' : 'true'))] : [op, v])),
  'NotPrincipal names the caller in full': (c, s) => {
    if (!s.NotPrincipal) {
      return s;
    }
    const p = c.principal, names = awsNames(s.NotPrincipal), account = names.includes(p.account) || names.includes(`arn:aws:iam::${p.account}:root`);
    const named = names.includes('*') || { user: account && names.includes(p.arn), session: account && names.includes(p.arn) && names.includes(p.roleArn), root: account,
      service: [s.NotPrincipal.Service ?? []].flat().includes(p.service), anonymous: false }[p.type];
    const { NotPrincipal, ...rest } = s;
    return named && !c.boundary ? null : { ...rest, Principal: '*' };
  },
  'a service is allowed by its name': (c, s) => {
    if (c.principal.type !== 'service' || s.Effect !== 'Allow' || !awsNames(s.Principal).includes('*')) {
      return s;
    }
    return s.Principal.Service ? { ...s, Principal: { Service: s.Principal.Service } } : null;
  },
  'epoch seconds in dates': (c, s) => eachCondition(s, (op, key, v) => (!/Date/.test(op) || missing(c, key) ? [op, v] : [op, v.map((x) => {
    const epoch = (d) => (/^\d+$/.test(d) ? Number(d) : Date.parse(d) / 1000);
    return /^\d+$/.test([valueOf(c, key)].flat()[0]) ? String(epoch(x)) : new Date(epoch(x) * 1000).toISOString();
  })])),
  'an address is a net of one, 0.0.0.0/0 is every one': (c, s) => eachCondition(s, (op, key, v) => [op, !/IpAddress/.test(op) ? v
    : v.flatMap((x) => (x === '0.0.0.0/0' ? ['0.0.0.0/1', '128.0.0.0/1'] : x.includes('/') ? x : x + (x.includes(':') ? '/128' : '/32')))]),
  'a list without set operator denies': (c, s) => (s.Effect !== 'Deny' ? s : eachCondition(s, (op, key, v) => (plain(op) && isMulti(key) && !missing(c, key) ? [(op.includes('Not') ? 'ForAllValues:' : 'ForAnyValue:') + op, v] : [op, v]))),
  'a star at the end of a piece runs over colons': (c, s) => Object.fromEntries(Object.entries(s).map(([k, v]) => [k, k.endsWith('Resource') ? [v].flat().map((r) => (crossing(r, c.resource) ? c.resource : r)) : v])),
  'a variable without value allows nothing': (c, s) => (s.Effect === 'Allow' && Object.entries(s.Condition ?? {}).some(([op, members]) => op.includes('ArnNot')
    && Object.entries(members).some(([key, v]) => !missing(c, key) && [v].flat().some((x) => unresolved(c, x)))) ? null : s),
  'a deny does not yield to a variable without value': (c, s) => {
    if (s.Effect !== 'Deny') {
      return s;
    }
    const out = eachCondition(s, (op, key, v) => {
      const left = op.includes('Not') && !missing(c, key) ? v.filter((x) => !unresolved(c, x)) : v;
      return left.length || op.startsWith('ForAny') === false ? (left.length ? [op, left] : null) : null;
    });
    if (s.NotResource) {
      const left = [s.NotResource].flat().filter((r) => !unresolved(c, r));
      const { NotResource, ...rest } = out;
      return left.length ? { ...rest, NotResource: left } : { ...rest, Resource: '*' };
    }
    return out;
  },
};
const SESSION = 'a session named by the resource needs no session policy';

const rewritten = (c, f) => {
  const doc = (d) => d && { ...d, Statement: statements(d).map((s) => f(c, s, d)).filter((s) => s !== null) };
  return { ...c, identity: c.identity.map(doc), boundary: doc(c.boundary), session: c.session.map(doc), policy: doc(c.policy) };
};
const usable = (c) => ({ ...c, policy: c.policy && c.policy.Statement.length === 0 ? { ...c.policy, Statement: [{ Effect: 'Allow', Principal: { Service: 'nobody.amazonaws.com' },
  Action: c.kind === 'trust' ? 'sts:TagSession' : c.kind === 'bucket' ? 's3:GetObject' : 'kms:*', ...(c.kind === 'trust' ? {} : { Resource: c.kind === 'bucket' ? 'arn:aws:s3:::x/*' : '*' }) }] } : c.policy });

// The part of a set in which the session is allowed by the resource alone, session policies' allows set aside.
function resourceAlone(c) {
  const denies = (d) => ({ ...d, Statement: statements(d).filter((s) => s.Effect === 'Deny') });
  const names = (s) => awsNames(s.Principal).filter((n) => n === '*' || n === c.principal.arn);
  return { ...c, identity: c.identity.map(denies).filter((d) => d.Statement.length), session: [ALL, ...c.session.map(denies)],
    policy: { ...c.policy, Statement: statements(c.policy).map((s) => (s.Effect === 'Deny' ? s : names(s).length ? { ...s, Principal: { AWS: names(s) } } : null)).filter((s) => s) } };
}

async function documented(c, ours) {
  const used = [];
  let now = c;
  for (const [name, f] of Object.entries(REWRITES)) {
    const next = rewritten(now, f);
    if (JSON.stringify([next.identity, next.boundary, next.session, next.policy]) !== JSON.stringify(['identity', 'boundary', 'session', 'policy'].map((k) => rewritten(now, (_, s) => s)[k]))) {
      used.push(name);
    }
    now = next;
    if (used.length && (await simulated(usable(now))).allowed === ours) {
      return used;
    }
  }
  if (c.session.length && c.policy && c.principal.account === c.owner && ours && (await simulated(usable(resourceAlone(now)))).allowed) {
    return [...used, SESSION];
  }
  return null;
}

const sets = Array.from({ length: count }, (_, i) => scenario(i));
const theirs = [];
for (const c of sets) {
  const r = await simulated(c);
  for (const key of r.ignored) { // not a key of this action: our side must not see it either
    if (FACT_KEYS.includes(key)) {
      throw new Error(`the simulator does not know ${key} for ${c.action}`);
    }
    delete c.context[key];
  }
  theirs.push(r.allowed);
}
const run = spawnSync(tool, [], { input: sets.map(question).join('\n') + '\n', encoding: 'utf8', maxBuffer: 1 << 28 });
const answers = run.stdout.trim().split('\n').map((l) => JSON.parse(l));
const differences = {};
let wrong = run.status === 0 && answers.length === count ? 0 : 1;
for (const [i, c] of sets.entries()) {
  const ours = answers[i];
  const classes = ours.error === undefined && ours.allowed !== theirs[i] ? await documented(c, ours.allowed) : [];
  for (const name of classes ?? []) {
    differences[name] = (differences[name] ?? 0) + 1;
  }
  if (ours.error !== undefined || classes === null) {
    wrong++;
    console.log(`seed ${seed} set ${i}: ours ${JSON.stringify(ours)}, theirs ${theirs[i] ? 'allowed' : 'denied'}\n${JSON.stringify(c)}`);
  }
}
const allowed = answers.filter((a) => a.allowed).length;
console.log(`seed ${seed}: ${count} sets, ${allowed} allowed, ${answers.filter((a) => a.explicit).length} denied explicitly, ${wrong} wrong; documented differences: ${JSON.stringify(differences, null, 1)}`);
if (count >= 500 && (allowed < count / 10 || allowed > (count * 9) / 10)) {
  console.log('the sets are too one-sided to tell anything');
  wrong++;
}
process.exit(wrong ? 1 : 0);
