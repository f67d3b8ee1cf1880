"""Tools of a coding agent, described at the length and in the manner that such agents do.

Rules have the same places as in the lists of real clients: some are in the first sentences, many
behind them, some in the description of an argument.
"""

from __future__ import annotations

from .tools import BOOLEAN, INTEGER, array, object_of, text, tool

READ = tool(
    "Read",
    """\
Reads one file from the disk of this machine and returns its text with line numbers. If the user names a file, \
assume that \
it exists: reading one that does not exist is harmless, and returns an error.

Usage:
- The result has at most 2000 lines and begins with the first one. Lines of more than 2000 characters are shortened.
- Pass offset and limit only where a file is too long to be read whole. One call for a whole file is better than \
many for its parts.
- Each line of the result begins with its number and a tab, as `cat -n` prints it. Neither is a part of the file.
- Pictures (PNG, JPEG, GIF, WebP) are returned as pictures. Use this tool for each screenshot whose path the user \
gives, also in a folder for temporary files.
- Notebooks (.ipynb) are returned with all cells and their outputs: code, text and plots.
- PDF files are returned by pages. One call returns 20 pages at most; for more, make one call for each range of 20 \
pages, the first from page 1.
- A folder cannot be read: list it with `ls` by the tool Bash.
- Several files that may be of use are read in one reply, with one call each.
- A file without content returns a note in place of its text.""",
    object_of(
        "file_path",
        file_path=text("Path of the file. It must be absolute: relative paths are refused"),
        offset={**INTEGER, "minimum": 1, "description": "Number of the first line. Only for files that are too long"},
        limit={**INTEGER, "minimum": 1, "description": "Number of lines. Only for files that are too long"},
        pages=text('Pages of a PDF file as a range, such as "3-3" or "1-5". Other files have none'),
    ),
)
WRITE = tool(
    "Write",
    """\
Writes a file to the disk of this machine, and replaces it if there is one.

Usage:
- Read a file that exists with the tool Read before you replace it: this tool refuses what was not read.
- Prefer Edit for a file that exists, since it sends only what changes. Use Write for new files and for complete \
rewrites.
- Do not write documents (*.md) or a README unless the user asks for them.
- Write emoji only if the user asks for them.
- The content is the whole file, to its last line, without placeholders such as "the rest stays as it is".""",
    object_of(
        file_path=text("Path of the file. It must be absolute: relative paths are refused"),
        content=text("The whole content of the file"),
    ),
)
EDIT = tool(
    "Edit",
    """\
Replaces a text in a file with another one, exactly as given.

Usage:
- Read the file with the tool Read before its first edit in this conversation: an edit of a file that was not read \
is refused.
- Take old_string from the result of Read without the line number and the tab that each line begins with. What \
follows the tab is the file: keep its blanks, its tabs and its line ends as they are.
- Prefer to edit the files of the project. Do not make new ones unless the task needs them.
- Write emoji into a file only if the user asks for them.
- An edit is refused where old_string occurs more than once in the file. Then give more of the lines around it, so \
that it is unique, or change every occurrence with replace_all.
- Use replace_all to give a variable another name in the whole file.
- Several edits of one file are made one after another, with the file as the one before has left it.""",
    object_of(
        "file_path old_string new_string",
        file_path=text("Path of the file. It must be absolute: relative paths are refused"),
        old_string=text("The text to replace"),
        new_string=text("The text in its place, which has to differ from old_string"),
        replace_all={**BOOLEAN, "default": False, "description": "Replace every occurrence, not one"},
    ),
)
GREP = tool(
    "Grep",
    """\
Searches the contents of files with a regular expression. It is built on ripgrep, and is fast on projects of any size.

Usage:
- Use this tool for every search of contents. Do not run `grep` or `rg` by the tool Bash: this tool has the right \
permissions, and leaves out what git ignores.
- The syntax is that of ripgrep, not that of grep: `log.*Error`, `function\\s+\\w+`. Braces that mean themselves \
need a backslash.
- Choose files by glob (`*.js`, `**/*.tsx`) or by type (`js`, `py`, `rust`).
- output_mode says what is returned: files_with_matches the paths, content the lines, count the number of matches in \
each file.
- A pattern matches within one line. For one that spans lines, such as `struct \\{[\\s\\S]*?field`, set multiline.
- Use the tool Task for an open question that takes several rounds of searches.""",
    object_of(
        "pattern",
        pattern=text("The regular expression"),
        path=text("File or folder to search. The working directory without it"),
        glob=text("Only files whose path fits this pattern, such as *.{ts,tsx}"),
        type=text("Only files of this type, as rg --type has them. More efficient than glob for usual types"),
        output_mode=text(
            "What is returned: content shows lines, files_with_matches paths, count numbers. files_with_matches without it",
            enum=["content", "files_with_matches", "count"],
        ),
        multiline={
            **BOOLEAN,
            "default": False,
            "description": "Let a pattern span lines, and the dot match their ends",
        },
        head_limit={**INTEGER, "description": "Return only the first lines, paths or numbers, as `| head -N` does"},
        **{
            "-C": {
                **INTEGER,
                "description": "Lines to show around each match. Needs output_mode content, else it is ignored",
            },
            "-i": {**BOOLEAN, "description": "Do not distinguish between upper and lower case"},
            "-n": {
                **BOOLEAN,
                "description": "Show the numbers of lines. Needs output_mode content, else it is ignored",
            },
        },
    ),
)
GLOB = tool(
    "Glob",
    """\
Finds files by the pattern of their path, in a project of any size.

- Supports patterns such as `**/*.js` and `src/**/*.ts`.
- Returns the paths, the file that was changed last first.
- Use it to find files by their names. For their contents there is Grep.
- Several searches that may be of use are made in one reply.""",
    object_of(
        "pattern",
        pattern=text("The pattern of the paths"),
        path=text(
            "The folder to search. Leave it out for the working directory: do not write undefined or null. "
            "It must be a folder that exists"
        ),
    ),
)
FETCH = tool(
    "WebFetch",
    """\
Fetches a page and answers a question about it with a small, fast model.

- Takes an address and a question. Fetches the content, converts HTML to Markdown, gives both to the model, and \
returns its answer.
- Use it to read what is on the web now: documentation, articles, the notes of a release.

Usage:
- If the session has a tool of an MCP server that fetches pages, prefer it: it may have fewer restrictions. The \
names of such tools begin with `mcp__`.
- The address must be complete and valid. HTTP is replaced by HTTPS.
- The question says what you want to know of the page.
- The tool changes no file. Long pages may be summarized.
- A page is kept for 15 minutes, so a second question about it is answered quickly.
- Where a page leads to another host, the result says so in a form of its own. Then call the tool again with that \
address.
- This tool is not logged in at github.com. For an address there use the command `gh` by the tool Bash (`gh pr \
view`, `gh issue view`, `gh api`).""",
    object_of(
        url=text("The address of the page", format="uri"),
        prompt=text("The question about the page"),
    ),
)
TODO = tool(
    "TodoWrite",
    """\
Keeps a list of the steps of this session. It helps you to keep an overview of demanding work, and shows the user \
how far it has come.

## When to use this list
Use it on your own in these cases:
1. The work takes three or more separate steps.
2. The work is not trivial, and has to be planned with care.
3. The user asks for the list.
4. The user names several things to do, with numbers or commas.
5. New instructions come: write down at once what they demand.
6. You begin with a step: mark it as in_progress before the work on it, and keep one step at a time in that state.

## When not to use it
Leave it out where:
1. There is one simple step.
2. The work is trivial, and a list would be of no use.
3. It takes less than three trivial steps.
4. The user wants to talk or to know something.

## Examples
<example>
User: Add a switch for dark mode to the settings, then run the tests and build the project.
Assistant: writes a list of four steps: a component for the switch, a state for the mode, the styles, tests and \
build. It begins with the first.
<reasoning>The feature has several steps, and the user asks for tests and the build. A failing test may add \
steps.</reasoning>
</example>
<example>
User: How do I print "Hello World" in Python?
Assistant: answers with one line of code, without a list.
<reasoning>This is one trivial question, which needs no change to a file.</reasoning>
</example>

## States
- pending: not begun yet
- in_progress: worked on now, one step at a time
- completed: done

Mark a step as completed only if all of it is done: not while tests fail, an error is left, or a file was not found. \
Then it stays in_progress, and a new step says what is in the way.

## The list
- A call replaces the whole list. Write every step into it, also those that are completed and those that do not \
change: a step that is left out is lost.
- A step has two forms: content says what to do ("Run the tests"), activeForm what is being done ("Running the \
tests").
- Steps are specific and can be done. Large ones are split.""",
    object_of(
        todos={
            **array(
                object_of(
                    content=text("What to do", minLength=1),
                    status=text(enum=["pending", "in_progress", "completed"]),
                    activeForm=text("What is being done", minLength=1),
                )
            ),
            "description": "The list of steps",
        }
    ),
)
BASH = tool(
    "Bash",
    """\
Runs a command in a shell and returns its output. The working directory stays from call to call; variables and \
functions of the shell do not.

IMPORTANT: Do not use this tool for `find`, `grep`, `cat`, `head`, `tail`, `sed`, `awk` or `echo`, unless the user \
asks for it or no other tool can do it. The other tools show the user better what happens:
 - Find files: Glob (not find or ls)
 - Search contents: Grep (not grep or rg)
 - Read files: Read (not cat, head or tail)
 - Edit files: Edit (not sed or awk)
 - Write files: Write (not echo or cat with a redirection)
 - Speak to the user: write text (not echo or printf)

# Usage
- Before a command that makes a file or a folder, check with `ls` that the folder above it exists and is the right \
one.
- Put paths with blanks in double quotes: `cd "path with blanks"`.
- Use absolute paths, so that the working directory stays the same. Change it by `cd` only if the user asks for it.
- The time limit is 120 seconds, or what timeout says.
- With run_in_background the command runs on while you work. Use it only if you do not need the result at once. You \
are notified of its end: do not wait for it with `sleep`, and add no `&`.
- The output has at most 30000 characters. What is longer is cut in the middle.
- Commands that do not depend on each other go into several calls of one reply. Those that do are joined by `&&`. \
Use `;` only where it does not matter whether the first one fails, and no line ends between commands.
- Avoid `sleep` between commands that can run at once. If a command fails, find out why: do not repeat it in a loop.

# Git
- Do not change the configuration of git.
- Never use commands that destroy work (`push --force`, `reset --hard`, `checkout .`, `clean -f`, `branch -D`) \
unless the user asks for exactly that.
- Do not leave out hooks (`--no-verify`), unless the user asks for it.
- Make new commits. Do not amend one unless the user asks for it: where a hook fails there is no commit yet, so an \
amended one would change the commit before.
- Add files by their names, not by `git add -A` or `git add .`, which may take keys and large files.
- Commit only if the user asks for it. Users dislike it if you are too eager.
- The message of every commit ends with the line `Assisted-by: coding-agent` in a paragraph of its own. Pass it with \
a second `-m`.
- Do not push unless the user asks for it. Never use commands with `-i`, which need a terminal.

# Pull requests
Use the command `gh` for everything on github.com: issues, pull requests, checks and releases. If you are given an \
address there, use `gh` to read it.
- Look at the state of the branch and at all its commits, not at the last one only, before you write the text of a \
pull request.
- The title has less than 70 characters. The text says what changes and how it was tested.
- Return the address of the pull request when it is made.""",
    object_of(
        "command description",
        command=text("The command to run"),
        timeout={**INTEGER, "maximum": 600_000, "description": "Time limit in milliseconds, 600000 at most"},
        description=text("""\
What the command does, clearly and briefly, in the active voice. Do not write "complex" or "risky": say what \
happens. Simple commands take five to ten words:
- ls: "List the files of this folder"
- npm install: "Install what package.json names"
Commands with pipes or rare options take more words. Where a command deletes files, the first word is DELETES, so \
that the user sees it before allowing it."""),
        run_in_background={**BOOLEAN, "description": "Run the command in the background"},
    ),
)

CODING_AGENT = (BASH, READ, WRITE, EDIT, GREP, GLOB, FETCH, TODO)
