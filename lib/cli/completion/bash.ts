import { FILTER_WORDS, type Grammar, type Words } from './grammar.js';

// WHY not COMP_WORDS: bash breaks words at ":" and "=", which URIs are full of.
export function bash(commands: readonly Grammar[]): string {
  return `# bash completion of ringtap: source <(ringtap completion bash)
_ringtap() {
    local line=\${COMP_LINE:0:COMP_POINT} command="" valued="" options="" first="" filter="" given=0 i=1
    local -a words
    read -ra words <<<"$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    local last=$((\${#words[@]} - 1))
    local cur=\${words[last]} prev=\${words[last - 1]}
    COMPREPLY=()
    while ((i < last)) && [[ \${words[i]} == -* ]]; do ((i++)); done
    ((i < last)) && command=\${words[i]}
    case $command in
        "") _ringtap_words "${commands.map(({ name }) => name).join(' ')} --help --version"; return ;;
${commands.map(ofCommand).join('\n')}
    esac
    if [[ $cur == -* ]]; then
        _ringtap_words "$options"
    else
        for ((i++; i < last; i++)); do
            if [[ " $valued " == *" \${words[i]} "* ]]; then
                [[ \${words[i]} == -@(i|r|-interface|-read) ]] && given=1
                ((i++))
            elif [[ \${words[i]} != -* ]]; then
                given=1
            fi
        done
        if ((given == 0)); then eval "$first"; elif [[ $filter ]]; then _ringtap_words "${FILTER_WORDS.join(' ')}"; fi
    fi
}
_ringtap_words() {
    COMPREPLY=($(compgen -W "$1" -- "$cur"))
    # What stands before the last colon is there already.
    if [[ $cur == *:* && $COMP_WORDBREAKS == *:* ]]; then
        local head=\${cur%"\${cur##*:}"}
        COMPREPLY=("\${COMPREPLY[@]#"$head"}")
    fi
}
_ringtap_uris() {
    _ringtap_words "$(ringtap __uris 2>/dev/null)"
    ((\${#COMPREPLY[@]})) || _ringtap_files
}
_ringtap_files() {
    compopt -o filenames 2>/dev/null
    mapfile -t COMPREPLY < <(compgen -f -- "$cur")
}
complete -F _ringtap ringtap
`;
}

function ofCommand({ name, flags, first, hasFilter }: Grammar): string {
  const valued = flags.filter(({ value }) => value !== undefined);
  const cases = valued.map(({ names, value }) => `                ${names.join('|')}) ${action(value!)}; return ;;`);
  return `        ${name})
            options="${flags.flatMap(({ names }) => names).join(' ')}"
            valued="${valued.flatMap(({ names }) => names).join(' ')}"
            first=${first === undefined ? ':' : `'${action(first)}'`} filter=${hasFilter ? 1 : ''}
            case $prev in
${cases.join('\n')}
            esac ;;`.replace(/\n\s+case \$prev in\n\n\s+esac/, '');
}

function action(words: Words): string {
  if (words === 'uri') return '_ringtap_uris';
  if (words === 'file') return '_ringtap_files';
  return words === 'free' ? ':' : `_ringtap_words "${words.join(' ')}"`;
}
