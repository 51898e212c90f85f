// SPDX-License-Identifier: Apache-2.0
// Copyright The fairlead Authors

/** What YAML allows to stand as it is in a block, short of the line ends that its versions do not agree on. */
const printable = /^[\t\n\x20-\x7e\u00a0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\u{10000}-\u{10ffff}]*$/u;

/**
 * JavaScript as the value of `inline:` in an Envoy configuration. A YAML parser gives back the very text.
 *
 * @param indent how far the key `inline` is moved to the right.
 */
export function inlineYaml(javascript: string, indent: number): string {
  const margin = ' '.repeat(indent);
  // Line ends at the end mean nothing in JavaScript, but much in YAML.
  const text = javascript.trim();
  if (!printable.test(text)) return `${margin}inline: ${quote(text)}\n`;
  const lines = text.split('\n').map((line) => (line === '' ? '' : `${margin}  ${line}`));
  return `${margin}inline: |-\n${lines.join('\n')}\n`;
}

/** A double-quoted scalar in ASCII. */
function quote(text: string): string {
  const escaped = JSON.stringify(text).replace(/[^\x20-\x7e]/gu, (character) => {
    const code = character.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\U${code.toString(16).padStart(8, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`;
  });
  return escaped;
}
