// What does not go into a URI, and is there all the same: it is refused, and the refusal must not repeat it.

/** Parameters whose values are secret, whoever takes them; of `tls` true and false are none. */
const NAMES = /[?&](?:auth|pass(?:word|phrase|wd)?|secret|token|key|tls(?!=(?:true|false)(?:[&\s]|$))[\w.-]*)=/.source;
/** Where it is known that all of it is a URI, blanks do not end a value. */
const IN_URI = new RegExp(`(${NAMES})[^&]*`, 'gi');
const IN_TEXT = new RegExp(`(${NAMES})(?!…)[^&\\s]*`, 'gi');
/** `user:password@` in front of a host. */
const USER = /\b([A-Za-z][\w+.-]*:\/\/)[^/?#\s@:]*:[^/?\s@]*@/g;

/** A URI as a message may quote it. */
export function uriWithoutSecrets(uri: string): string {
  return uri.replace(IN_URI, '$1…').replace(USER, '$1…@');
}

/** A text that may quote URIs. @param uri one that it does quote */
export function withoutSecrets(text: string, uri?: unknown): string {
  const known = typeof uri === 'string' && uri !== '' ? text.replaceAll(uri, () => uriWithoutSecrets(uri)) : text;
  return known.replace(IN_TEXT, '$1…').replace(USER, '$1…@');
}
