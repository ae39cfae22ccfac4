import { FILTER_WORDS, type Flag, type Grammar, type Words } from './grammar.js';

export function zsh(commands: readonly Grammar[]): string {
  return `#compdef ringtap
# zsh completion of ringtap: a file _ringtap in $fpath, or source <(ringtap completion zsh)
_ringtap_uris() {
    local -a uris
    uris=(\${(f)"$(ringtap __uris 2>/dev/null)"})
    compadd -a uris
    _files
}
_ringtap_filter() { compadd ${FILTER_WORDS.join(' ')} }
_ringtap() {
    local state
    local -a commands
    commands=(
${commands.map(({ name, description }) => `        ${quote(`${name}:${description.replaceAll(':', '\\:')}`)}`).join('\n')}
    )
    _arguments -C '(-h --help)'{-h,--help}'[display help]' '(-V --version)'{-V,--version}'[output the version number]' '1: :->command' '*:: :->rest'
    case $state in
        command) _describe command commands ;;
        rest)
            case $words[1] in
${commands.map(ofCommand).join('\n')}
            esac ;;
    esac
}
if [[ $funcstack[1] == _ringtap ]]; then _ringtap "$@"; else compdef _ringtap ringtap; fi
`;
}

function ofCommand({ name, flags, first, hasFilter }: Grammar): string {
  const specs = flags.map(ofFlag);
  if (first !== undefined) specs.push(quote(`1:word:${action(first)}`));
  if (hasFilter) specs.push(quote('*:filter:_ringtap_filter'));
  return `                ${name}) _arguments -s ${specs.map((spec) => `\\\n                    ${spec}`).join(' ')} ;;`;
}

function ofFlag({ names, description, value, isRepeatable }: Flag): string {
  const text = `[${description.replace(/[[\]\\:]/g, '\\$&')}]${value === undefined ? '' : `:value:${action(value)}`}`;
  const exclusion = isRepeatable ? '*' : `(${names.join(' ')})`;
  return names.length === 1
    ? quote(`${isRepeatable ? '*' : ''}${names[0]!}${text}`)
    : `${quote(exclusion)}{${names.join(',')}}${quote(text)}`;
}

function action(words: Words): string {
  if (words === 'uri') return '_ringtap_uris';
  if (words === 'file') return '_files';
  return words === 'free' ? ' ' : `(${words.join(' ')})`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
