// Processes that are refused something, as sandboxes, containers and units refuse it.

/** A system call with these arguments (by their place) fails with this errno. */
export interface Refused {
  readonly call: 'socket' | 'setsockopt' | 'bpf';
  readonly args?: Readonly<Record<number, number>>;
  readonly errno: number;
}

const LAUNCHER = `
import ctypes, json, os, platform, struct, sys
NUMBERS = {'x86_64': {'socket': 41, 'setsockopt': 54, 'bpf': 321}, 'aarch64': {'socket': 198, 'setsockopt': 208, 'bpf': 280}}
code = []
for rule in json.loads(sys.argv[1]):
    checks = [(0, NUMBERS[platform.machine()][rule['call']])]
    checks += [(16 + 8 * int(place), value) for place, value in rule.get('args', {}).items()]
    for k, (offset, value) in enumerate(checks):
        code += [(0x20, 0, 0, offset), (0x15, 0, 2 * (len(checks) - k - 1) + 1, value)]
    code.append((0x06, 0, 0, 0x50000 | rule['errno']))
code.append((0x06, 0, 0, 0x7fff0000))
class Program(ctypes.Structure):
    _fields_ = [('length', ctypes.c_ushort), ('filter', ctypes.c_void_p)]
instructions = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *each) for each in code))
program = Program(len(code), ctypes.addressof(instructions))
if ctypes.CDLL(None).prctl(22, 2, ctypes.byref(program), 0, 0) != 0:
    sys.exit('seccomp is refused')
os.execvp(sys.argv[2], sys.argv[2:])
`;

/** What a program is run with, to be refused that by seccomp. As root. */
export function refusing(...rules: readonly Refused[]): string[] {
  return ['python3', '-c', LAUNCHER, JSON.stringify(rules)];
}

/** What a program is run with, to have a mount namespace that `prepare`, lines of shell, has set up. As root. */
export function mounted(prepare: string, ...prefix: readonly string[]): string[] {
  return ['unshare', '-m', 'sh', '-c', `${prepare} && exec "$@"`, 'sh', ...prefix];
}

export const ERRNO = { EPERM: 1, ENOPROTOOPT: 92, EAFNOSUPPORT: 97 } as const;
export const FAMILY = { netlink: 16, packet: 17, xdp: 44 } as const;
