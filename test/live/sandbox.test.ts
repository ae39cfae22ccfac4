// Hosts that refuse something: containers, systemd units, seccomp, small limits. What is told, and what goes on.
import { writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { script } from '../support/child.js';
import { cli, start } from '../support/cli.js';
import { temporaryFolder } from '../support/folder.js';
import { lab } from '../support/lab.js';
import { ERRNO, FAMILY, mounted, type Refused, refusing } from '../support/sandbox.js';

const path = temporaryFolder();
const { rx } = lab ?? { rx: '' };

interface Attempt {
  readonly code?: string;
  readonly message?: string;
  readonly hint?: string;
  readonly backend?: string;
  readonly notes?: string[];
  readonly reasons?: string[];
}

/** What becomes of open() in a process that is run so. */
async function attempt(uri: string, prefix: readonly string[], options = {}): Promise<Attempt> {
  const { stdout, stderr } = await script(
    `import { open } from 'ringtap';
     const [uri, options] = process.argv.slice(1);
     try {
       const { backend, plan, close } = await open(uri, JSON.parse(options)).then((capture) => ({
         backend: capture.backend, plan: capture.plan, close: () => capture.close() }));
       await close();
       console.log(JSON.stringify({ backend, notes: plan.notes, reasons: plan.candidates.map(({ reason }) => reason) }));
     } catch (error) {
       console.log(JSON.stringify(error));
     }`,
    { prefix, args: [uri, JSON.stringify(options)], env: { NODE_NO_WARNINGS: '1' } },
  );
  if (stdout === '') throw new Error(stderr);
  return JSON.parse(stdout);
}

const nobody = ['setpriv', '--reuid=65534', '--clear-groups'];
/** /run of a container that podman made: what no host has. */
const inPodman = 'mount -t tmpfs none /run && touch /run/.containerenv';
const packetSocket: Refused = { call: 'socket', args: { 0: FAMILY.packet }, errno: ERRNO.EPERM };
const isContained = /the container|of the container/;

describe.skipIf(lab === null)('a process without the right to capture', () => {
  test.each(['afpacket', 'pcap', 'auto'])('as an ordinary user is told of root and setcap by %s:', async (method) => {
    const { code, message, hint } = await attempt(`${method}:${rx}`, nobody);
    expect(code).toBe('RINGTAP_NO_PERMISSION');
    expect(message).toMatch(new RegExp(`^${method}:${rx}: .*needs CAP_NET_RAW`));
    expect(hint).toMatch(/^Run as root.*, or grant the capabilities: sudo setcap cap_net_raw,cap_net_admin\+ep /);
  });

  test.each([
    ['afpacket', '--cap-add NET_RAW --cap-add NET_ADMIN'],
    ['pcap', '--cap-add NET_RAW --cap-add NET_ADMIN'],
    ['afxdp', '--cap-add NET_RAW --cap-add NET_ADMIN --cap-add BPF --cap-add PERFMON'],
  ])('as root of a container is told what to add, by %s:', async (method, added) => {
    const prefix = mounted(inPodman, 'setpriv', '--bounding-set=-net_raw,-net_admin,-bpf,-sys_admin,-perfmon');
    const { code, hint } = await attempt(`${method}:${rx}`, prefix);
    expect(code).toBe('RINGTAP_NO_PERMISSION');
    expect(hint).toContain(`docker run ${added} `);
    expect(hint).toContain('securityContext.capabilities.add: [NET_RAW, NET_ADMIN');
    expect(hint).not.toMatch(/setcap|Run as root|--user 0/);
  });

  test('as an ordinary user of a container is told of its root, too', async () => {
    const bounding = ['setpriv', '--bounding-set=-net_raw'];
    const { hint } = await attempt(`afpacket:${rx}`, mounted(inPodman, ...bounding, ...nobody));
    expect(hint).toMatch(/--cap-add NET_RAW .*--user 0/);
    const { hint: rights } = await attempt(`afpacket:${rx}`, mounted(inPodman, ...nobody));
    expect(rights).toMatch(/^Run as root of the container \(docker run --user 0\), or grant/);
  });

  test('in a systemd unit is told of the unit', async () => {
    const cgroup = path('cgroup');
    writeFileSync(cgroup, '0::/system.slice/sniff.service\n');
    const asUnit = mounted(`mount --bind "${cgroup}" /proc/$$/cgroup`, ...nobody);
    const { hint } = await attempt(`afpacket:${rx}`, asUnit);
    expect(hint).toMatch(/^In its unit: AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN; then systemctl daemon-reload/);
    const session = path('session');
    writeFileSync(session, '0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n');
    const asUser = mounted(`mount --bind "${session}" /proc/$$/cgroup`, ...nobody);
    expect((await attempt(`afpacket:${rx}`, asUser)).hint).toContain('setcap');
  });

  test('that may gain none is not sent to sudo and setcap', async () => {
    const { hint } = await attempt(`afpacket:${rx}`, [...nobody, '--no-new-privs']);
    expect(hint).toMatch(/no_new_privs/);
    expect(hint).not.toContain('sudo setcap');
  });
});

describe.skipIf(lab === null)('a process with the right to capture that a policy refuses', () => {
  test.each(['afpacket', 'pcap'])('is told so by %s:, and not to run as root', async (method) => {
    const { code, message, hint } = await attempt(`${method}:${rx}`, refusing(packetSocket));
    expect(code).toBe('RINGTAP_NO_PERMISSION');
    expect(message).toContain('is refused, though the process has CAP_NET_RAW');
    expect(hint).toMatch(/seccomp/);
    expect(hint).not.toMatch(/setcap|[Rr]un as root|cap-add/);
  });

  test.each([
    ['bpf(2)', { call: 'bpf', errno: ERRNO.EPERM }],
    ['AF_XDP', { call: 'socket', args: { 0: FAMILY.xdp }, errno: ERRNO.EPERM }],
  ] as const)('is told so by afxdp:, refused %s', async (_, rule) => {
    const { code, message, hint } = await attempt(`afxdp:${rx}`, refusing(rule), { fallback: false });
    expect(code).toBe('RINGTAP_NO_PERMISSION');
    expect(message).toContain('though the process has CAP_NET_RAW and CAP_NET_ADMIN and CAP_BPF');
    expect(hint).toMatch(/seccomp/);
    expect(hint).not.toMatch(/setcap|cap-add/);
  });

  test('is told of the unit that refuses it', async () => {
    const cgroup = path('unit');
    writeFileSync(cgroup, '0::/system.slice/sniff.service\n');
    const prefix = mounted(`mount --bind "${cgroup}" /proc/$$/cgroup`, ...refusing(packetSocket));
    expect((await attempt(`afpacket:${rx}`, prefix)).hint).toMatch(/SystemCallFilter= and RestrictAddressFamilies=/);
  });

  test('is told that its rights are those of a user namespace', async () => {
    // The network namespace is still the one of the root outside.
    const { code, hint } = await attempt(`afpacket:${rx}`, ['unshare', '--user', '--map-root-user']);
    expect(code).toBe('RINGTAP_NO_PERMISSION');
    expect(hint).toMatch(/user namespace/);
    expect(hint).not.toMatch(isContained);
  });
});

describe.skipIf(lab === null)('without AF_PACKET or its ring', () => {
  const family: Refused = { call: 'socket', args: { 0: FAMILY.packet }, errno: ERRNO.EAFNOSUPPORT };
  const option = (name: number): Refused => ({
    call: 'setsockopt',
    args: { 1: 263, 2: name },
    errno: ERRNO.ENOPROTOOPT,
  });

  test('afpacket: is missing, and says what refuses a family', async () => {
    const { code, hint } = await attempt(`afpacket:${rx}`, refusing(family), { fallback: false });
    expect(code).toBe('RINGTAP_BACKEND_MISSING');
    expect(hint).toContain('RestrictAddressFamilies=');
  });

  test.each([
    ['PACKET_VERSION', 10, /the kernel has no TPACKET_V3/],
    ['PACKET_RX_RING', 5, /the kernel has no AF_PACKET ring/],
  ])('auto: goes on where %s is refused, and says why each method failed', async (_, name, reason) => {
    expect(await attempt(`afpacket:${rx}`, refusing(option(name)), { fallback: false })).toMatchObject({
      code: 'RINGTAP_BACKEND_MISSING',
      message: expect.stringMatching(reason),
    });
    const both = await attempt(rx, refusing(option(name)));
    if (both.code !== undefined) {
      expect(both.message).toMatch(new RegExp(`^${rx}: .*\\(afpacket: ${reason.source}`));
    } else {
      expect(both).toMatchObject({ backend: 'pcap', reasons: [expect.stringMatching(reason), undefined] });
    }
  });
});

describe.skipIf(lab === null)('without netlink', () => {
  const prefix = refusing({ call: 'socket', args: { 0: FAMILY.netlink }, errno: ERRNO.EAFNOSUPPORT });
  const ringtap = (...args: string[]) => {
    const [file, ...rest] = [...prefix, process.execPath, cli, ...args];
    return start(file!, rest).outcome;
  };

  test('interfaces are listed, without their addresses', async () => {
    const { code, stdout, stderr } = await ringtap('list', '--json');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    const found = JSON.parse(stdout) as { name: string; up: boolean; uris: string[]; addresses: string[] }[];
    expect(found).toContainEqual(
      expect.objectContaining({ name: rx, up: true, addresses: [], uris: expect.arrayContaining([`afpacket:${rx}`]) }),
    );
  });

  test('doctor says what works', async () => {
    const { code, stdout } = await ringtap('doctor');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^ok +afpacket: /m);
  });

  test('captures go on, and a misspelt interface is an error of ours that names the nearest', async () => {
    expect(await attempt(`afpacket:${rx}`, prefix)).toMatchObject({ backend: 'afpacket' });
    const { code, hint } = await attempt('rt11', prefix);
    expect(code).toBe('RINGTAP_NO_INTERFACE');
    expect(hint).toContain(`Did you mean "${rx}"?`);
  });

  test('afxdp: says what it lacks', async () => {
    const { code, hint } = await attempt(`afxdp:${rx}`, prefix);
    expect(code).toBe('RINGTAP_SYSTEM');
    expect(hint).toContain('RestrictAddressFamilies=');
  });
});

test.skipIf(lab === null)('without /proc doctor says that it does not know, and captures go on', async () => {
  const prefix = mounted('mount -t tmpfs none /proc');
  const [file, ...rest] = [...prefix, process.execPath, cli, 'doctor', '--json'];
  const { checks, canCapture } = JSON.parse((await start(file!, rest).outcome).stdout);
  expect(canCapture).toBe(true);
  for (const name of ['capabilities', 'user namespaces', 'huge pages', 'RLIMIT_MEMLOCK']) {
    expect(checks).toContainEqual({
      name,
      status: 'warn',
      found: expect.stringMatching(/^unknown/),
      hint: expect.any(String),
    });
  }
  expect(await attempt(`afpacket:${rx}`, prefix)).toMatchObject({ backend: 'afpacket' });
});

describe.skipIf(lab === null)('with little memory to lock', () => {
  const limited = (bytes: number) => [
    ...['setpriv', '--bounding-set=-ipc_lock,-sys_resource', 'prlimit', `--memlock=${bytes}:${bytes}`],
  ];

  test('afxdp: takes as many frames as there is room for, and says so', async () => {
    const { backend, notes } = await attempt(`afxdp:${rx}`, limited(1 << 20));
    expect(backend).toBe('afxdp');
    expect(notes!.join()).toMatch(/RLIMIT_MEMLOCK \(1048576 bytes\) leaves room for (128|256) frames/);
  });

  test('afxdp: says how to get more where not even the least fits', async () => {
    const { code, message, hint } = await attempt(`afxdp:${rx}`, limited(64 << 10));
    expect(code).toBe('RINGTAP_NO_MEMORY');
    expect(message).toMatch(/for \d+ frames, RLIMIT_MEMLOCK is 65536 bytes/);
    expect(hint).toMatch(/CAP_IPC_LOCK.*ulimit -l unlimited.*The least that it takes are 128 frames/);
  });
});
