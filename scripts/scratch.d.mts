/** The command line that runs `argv` in this folder, of which nothing that it writes is left. Throws when this host can't. */
export function scratchCommand(argv: readonly string[]): { file: string; args: string[]; env: NodeJS.ProcessEnv };
