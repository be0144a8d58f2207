//! The interactive prompt: statements until `;`, a few commands that begin with `\`, history, completion.
//!
//! Ctrl-C ends the query that runs, or the line that is typed; Ctrl-D ends the prompt.

mod commands;
mod line;

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::time::Instant;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{Config, Editor};
use tokio::task::spawn_blocking;

use crate::bind::Params;
use crate::error::QueryError;
use crate::format::{Format, TableStyle};
use crate::library::Library;
use crate::run::Answer;
use crate::session::Session;
use commands::Command;
use line::Helper;

/// Entries that the history keeps.
const HISTORY_ENTRIES: usize = 1000;
const PROMPT: &str = "dmarcflow> ";

/// How the prompt begins.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where the history is kept; absent to keep none.
    pub history: Option<PathBuf>,
    pub format: Format,
}

type Lines = Editor<Helper, FileHistory>;

struct Prompt<'a> {
    session: &'a Session,
    library: &'a Library,
    format: Format,
    timing: bool,
    /// Columns of the terminal, if it is one.
    width: Option<usize>,
}

/// Runs the prompt until the person leaves it.
pub async fn run(session: &Session, library: &Library, settings: &Settings) -> Result<(), QueryError> {
    let mut lines = editor(library, settings)?;
    let mut prompt = Prompt { session, library, format: settings.format, timing: false, width: None };
    if std::io::stdin().is_terminal() {
        println!("Statements end with `;`. \\? lists the commands, \\q leaves.");
    }
    loop {
        prompt.width = lines.dimensions().map(|(columns, _)| usize::from(columns));
        let (back, line) = read(lines).await?;
        lines = back;
        match line {
            Ok(text) if text.trim().is_empty() => {}
            Ok(text) => {
                // A history that cannot be kept must not end the prompt.
                let _ = lines.add_history_entry(text.trim());
                if !prompt.answer(&text).await? {
                    break;
                }
            }
            Err(ReadlineError::Interrupted) => {}
            Err(ReadlineError::Eof) => break,
            Err(error) => return Err(terminal(error)),
        }
    }
    if let Some(path) = &settings.history {
        lines.save_history(path).map_err(terminal)?;
    }
    Ok(())
}

fn editor(library: &Library, settings: &Settings) -> Result<Lines, QueryError> {
    let config = Config::builder()
        .max_history_size(HISTORY_ENTRIES)
        .and_then(|config| config.history_ignore_dups(true));
    let config = config.map_err(terminal)?.auto_add_history(false).build();
    let mut lines = Lines::with_config(config).map_err(terminal)?;
    lines.set_helper(Some(Helper::new(library)));
    if let Some(path) = settings.history.as_ref().filter(|path| path.exists()) {
        lines.load_history(path).map_err(terminal)?;
    }
    Ok(lines)
}

/// Reads a line without holding up the runtime.
async fn read(mut lines: Lines) -> Result<(Lines, Result<String, ReadlineError>), QueryError> {
    let read = spawn_blocking(move || {
        let line = lines.readline(PROMPT);
        (lines, line)
    });
    read.await.map_err(|error| QueryError::Failed(error.to_string()))
}

fn terminal(error: ReadlineError) -> QueryError {
    match error {
        ReadlineError::Io(error) => QueryError::Write(error),
        other => QueryError::Failed(other.to_string()),
    }
}

impl Prompt<'_> {
    /// Answers a line. Gives false when it asks to leave. A failing query is told and ends nothing.
    async fn answer(&mut self, text: &str) -> Result<bool, QueryError> {
        let outcome = match text.trim().strip_prefix('\\').map(Command::parse) {
            None => self.show(self.session.sql(text, &Params::new()).await).await,
            Some(Ok(Command::Quit)) => return Ok(false),
            Some(Ok(command)) => self.command(command).await,
            Some(Err(error)) => Err(error),
        };
        match outcome {
            Err(QueryError::Write(error)) => Err(QueryError::Write(error)),
            Err(error) => {
                eprintln!("{error}");
                Ok(true)
            }
            Ok(()) => Ok(true),
        }
    }

    async fn command(&mut self, command: Command) -> Result<(), QueryError> {
        match command {
            Command::Format(format) => self.format = format,
            Command::Timing => {
                self.timing = !self.timing;
                println!("timing is {}", if self.timing { "on" } else { "off" });
            }
            Command::Run(name, params) => {
                let answer = self.session.ask(self.library.get(&name)?, &params).await;
                self.show(answer).await?;
            }
            other => print!("{}", other.text(self.library)?),
        }
        Ok(())
    }

    async fn show(&self, answer: Result<Answer, QueryError>) -> Result<(), QueryError> {
        let answer = answer?;
        let started = Instant::now();
        let mut out = std::io::BufWriter::new(std::io::stdout());
        let style = TableStyle { width: self.width };
        tokio::select! {
            written = answer.write(self.format, &style, &mut out) => { written?; }
            _ = tokio::signal::ctrl_c() => eprintln!("cancelled"),
        }
        out.flush()?;
        if self.timing {
            println!("{:.3} s", started.elapsed().as_secs_f64());
        }
        Ok(())
    }
}
