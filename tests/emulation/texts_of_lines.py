"""Texts of many kinds, forms of calls, and what may stand before one in a line."""

from __future__ import annotations

PROSE = """\
We looked at the file and found two errors.
The first one is in the parser, and
its cause is known.
O arquivo tem duas falhas: uma delas
fica no analisador. Vamos ver o resto
de cada linha, sem pressa.
"""
CODE = {
    "python": """\
import os


class Reader(Base):
    \"\"\"Read it.\"\"\"

    @property
    def size(self) -> int:
        return len(self._items)

    def add(self, item: str = 'a') -> None:  # keep it
        x = [item, *self._items]
        self._items = x
""",
    "javascript": """\
import fs from "fs";

const size = (items) => items.length;
export async function add(items, item) {
  const result = await load(items);
  if (!result) {
    throw new Error('none');
  }
  // keep it
  return [...items, item];
}
""",
    "typescript": """\
interface Item {
  name: string;
  size?: number;
}

type Items = Record<string, Item>;
let total: number = 0;
export const sum = (items: Item[]): number =>
  items.reduce((a, b) => a + (b.size ?? 0), 0);
""",
    "java": """\
package a.b;

import java.util.List;

public class Reader {
    @Override
    public String toString() {
        return "a";
    }

    private final List<String> items = new ArrayList<>();
}
""",
    "go": """\
package main

import "fmt"

type Reader struct {
	size int
}

func (r *Reader) Size() int {
	return r.size
}

func main() {
	for i := 0; i < 3; i++ {
		fmt.Println("a", i)
	}
}
""",
    "rust": """\
use std::fs;

#[derive(Debug)]
pub struct Reader<'a> {
    name: &'a str,
}

impl Reader<'_> {
    pub fn size(&self) -> usize {
        let text = fs::read(self.name).unwrap();
        text.len()
    }
}
""",
    "c": """\
#include <stdio.h>

static int size(const char *a) {
    int n = 0;
    while (*a++) {
        n += 1;
    }
    return n;
}

/* keep it */
int main(void) {
    printf("%d\\n", size("abc"));
}
""",
    "shell": """\
#!/bin/sh
set -eu

for file in *.txt; do
  echo "$file"
  grep -c x "$file" || true
done

# keep it
if [ -f a ]; then
  rm a
fi
""",
    "sql": """\
SELECT a.id, COUNT(*) AS n
FROM items AS a
LEFT JOIN others AS b ON b.id = a.id
WHERE a.size > 3
  AND b.name LIKE 'x%'
GROUP BY a.id
ORDER BY n DESC;

INSERT INTO items (id, name) VALUES (1, 'a');
""",
    "html": """\
<!DOCTYPE html>
<html lang="pt">
  <body>
    <h1>A title</h1>
    <p class="a">We see <b>it</b>.</p>
    <ul>
      <li>one</li>
    </ul>
  </body>
</html>
""",
    "yaml": """\
name: build
on:
  push:
    branches: [main]
jobs:
  test:
    runs-on: ubuntu
    steps:
      - uses: a/b@v4
      - run: make test
""",
}
KINDS = {
    "markdown": """\
# A title

Some text with **bold** words, `code` and a [link](https://example.org/a).

## Second

- one item
- **Bold item**: its text
  - below it
* another
+ and more

1. First step.
2. Second step:
   with a line

> a quotation
> of two lines

---

- [ ] to do
- [x] done

✅ **Done**
• a point
— a dash
""",
    "table": """\
| Name | Size | What it is |
|---|---:|:--|
| one | 12 | a row |
| two | 3,5 | **another** |
| three | — | `code` |
""",
    "csv": """\
id,name,size,day
1,alpha_1,0.25,2026-11-29
2,beta_22,17.5,2026-11-28
row_3,gamma,3,2026-11-27
"4",'delta',,
-5;epsilon;1e9;x
""",
    "words": """\
one
two
Three
four

five
síx
Eight
nine.
ten,
else:
11
""",
    "portuguese": """\
Então analisei o arquivo e há três falhas.
É preciso corrigir a primeira; depois,
as outras. Agora o resultado é outro:

Além disso, não há testes. Primeiro, os dados.
Você pode ver isso abaixo, à direita.
Ação recomendada é esperar.
""",
    **CODE,
}
BODIES = (
    'read_file({"path": "a"})', 'read_file(path="a")', 'read_file {"path": "a"}',
    'read_file\narguments: {"path": "a"}', 'read_file with arguments {"path": "a"}',
    '`read_file` com os argumentos {"path": "a"}', '{"name": "read_file", "arguments": {"path": "a"}}',
    '[{"name": "read_file", "arguments": {"path": "a"}}]', '{"read_file": {"path": "a"}}',
    'FUNCTION_CALL_START\nread_file\narguments: {"path": "a"}\nFUNCTION_CALL_END',
    'TOOL CALL BEGIN (read_file)\nread_file\narguments: {"path": "a"}\nTOOL CALL END',
    'FUNCTION_CALL_END\nread_file\narguments: {"path": "a"}\nFUNCTION_CALL_END',
    'Vou chamar read_file com {"path": "a"}', 'Então vou usar o read_file: {"path": "a"}',
    'Action: read_file\nAction Input: {"path": "a"}', 'calling read_file {"path": "a"}',
    'to=functions.read_file {"path": "a"}', 'functions.read_file({"path": "a"})', 'Read-File({"path": "a"})',
    'READ_FILE:1 {"path": "a"}', "<read_file>\n<path>a</path>\n</read_file>",
    '<invoke name="read_file">\n<parameter name="path">a</parameter>\n</invoke>',
    '<tool_call>\n{"name": "read_file", "arguments": {"path": "a"}}\n</tool_call>',
    '<function=read_file>{"path": "a"}</function>', '[TOOL_CALLS] read_file {"path": "a"}',
    '```json\n{"name": "read_file", "arguments": {"path": "a"}}\n```', "[user]\nHi there, now go on",
    "[assistant]\nHi there", "<|im_end|>", "Result: it is ok\n", "Tool result: 1", "user: hello",
    'START_FUNCTION_CALL\nread_file\narguments: {"path": "a"}\nEND', 'read_file.__call__({"path": "a"})',
    'ＦUNCTION CALL START\nread_file\narguments: {"path": "a"}\nFUNCTION CALL END',
    'FUNCTION_CALL_START\\nread_file\\narguments: {"path": "a"}\\nFUNCTION_CALL_END',
)  # fmt: skip
LEADS = (
    "", "- ", "* ", "1. ", "> ", "# ", "## ", "| ", "  ", "    ", "\t", "**", "`", "(", "[", "{", "<", "@",
    "//", "$ ", ">>> ", "-> ", "→ ", "• ", "✅ ", "--", "~", "=", "'", '"', "&", "&lt;", "<!-- ", "\\", "\\n",
    "[x] ", "(a) ", "<p>", "<div> ", "{x} ", "\ufeff", "\u00a0", "\x0b", "\x1c", "return ", "x = ", "print(",
    "await ", "@ ", "_", "***", "：", "（", "…", "--- ", "/* ", "* [ ] ", "const ", "json ", "assistant ", "１",
    "let x = ", "result = ", "yield ", "JSON.stringify(", "((", "[[", "tool_calls: ", "commentary ",
    "functools ", "data := ", "<|x|> ", "<｜a｜>", "[foo bar] ", "(now) ", "**(", "_(", "`[", "then ", "Now, ",
    "ok ", "=> ", "|", "===", "x", "a ", "1", "- 1. ", "> - ",
)  # fmt: skip
