/** How this host can make a lab: `way` is the start of a command line, `reason` says why there is none. */
export function labSupport(): { way: string[]; reason?: undefined } | { way?: undefined; reason: string };

/** The command line that runs `argv` in a lab, for spawn(). Throws when this host can't. */
export function labCommand(
  argv: readonly string[],
  options?: { queues?: number; gro?: boolean },
): { file: string; args: string[]; env: NodeJS.ProcessEnv };

/** Runs a command on this terminal, passes signals on, resolves to its exit code. */
export function runForeground(command: { file: string; args: string[]; env: NodeJS.ProcessEnv }): Promise<number>;
