// What open() would do, where a test knows which it is.
import { type Candidate, explain, type OptionsOf, type Plan } from 'ringtap';
import { expect } from 'vitest';

/** The plan that open() would follow. */
export async function planOf<Uri extends string>(uri: Uri, options?: OptionsOf<Uri>): Promise<Plan> {
  const explained = await explain(uri, options);
  if (!explained.ok) throw explained.error;
  return explained.plan;
}

/** What open() would fail with, and the methods that were considered. */
export async function refusalOf<Uri extends string>(uri: Uri, options?: OptionsOf<Uri>) {
  const explained = await explain(uri, options);
  if (explained.ok) throw new Error(`${uri} can be opened`);
  return explained;
}

/** The methods that were considered, whatever became of them. */
export async function candidatesOf(uri: string): Promise<readonly Candidate[]> {
  const explained = await explain(uri);
  return explained.ok ? explained.plan.candidates : explained.candidates;
}

/** Checks that the URI leads to this device, whether or not it can be captured here and now. */
export async function expectTarget(uri: string, name: string): Promise<void> {
  const explained = await explain(uri);
  if (explained.ok) expect(explained.plan.target, uri).toBe(name);
  else
    expect(['RINGTAP_BAD_URI', 'RINGTAP_NO_INTERFACE', 'RINGTAP_FILE_OPEN'], uri).not.toContain(explained.error.code);
}
