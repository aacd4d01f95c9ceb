//! Log lines in nats-server's form: `[pid] date time [INF] text`, which people and test harnesses
//! look for.

mod file;

use std::fmt::{self, Write as _};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use anyhow::Context as _;
use arc_swap::ArcSwap;
use parking_lot::Mutex;
use settings::options::Logging;
use time::OffsetDateTime;
use time::macros::format_description;
use tracing::field::{Field, Visit};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter};
use tracing_subscriber::layer::{Context, Filter, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use file::LogFile;
use tracing_subscriber::{Layer, Registry, reload};

/// Where log lines go and how they look. All of it can change while the server runs.
#[derive(Clone)]
pub struct Log {
    target: Arc<Mutex<Target>>,
    look: Arc<ArcSwap<Look>>,
    levels: reload::Handle<Levels, Registry>,
}

enum Target {
    Stderr,
    File(LogFile),
}

/// How a line looks.
#[derive(Debug, Clone, Copy)]
struct Look {
    time: bool,
    utc: bool,
    colours: bool,
}

impl Log {
    /// Opens the log file again, after it was moved away.
    pub fn reopen(&self) -> io::Result<()> {
        match &mut *self.target.lock() {
            Target::Stderr => Ok(()),
            Target::File(file) => file.reopen(),
        }
    }

    /// Logs as these options say from now on. If their file cannot be opened nothing changes.
    pub fn apply(&self, options: &Logging) -> anyhow::Result<()> {
        let target = Target::new(options)?;
        self.look.store(Arc::new(Look::new(options, &target)));
        *self.target.lock() = target;
        // Without a subscriber, as in a second start in one process, there is nothing to change.
        self.levels
            .modify(|levels| *levels = Levels::new(options))
            .ok();
        Ok(())
    }
}

impl Target {
    fn new(options: &Logging) -> anyhow::Result<Self> {
        let Some(path) = &options.file else {
            return Ok(Target::Stderr);
        };
        let file = LogFile::open(path, options)
            .with_context(|| format!("log file {} cannot be opened", path.display()))?;
        Ok(Target::File(file))
    }
}

impl Look {
    fn new(options: &Logging, target: &Target) -> Self {
        Look {
            time: options.logtime,
            utc: options.logtime_utc,
            colours: matches!(target, Target::Stderr) && io::stderr().is_terminal(),
        }
    }
}

/// What is logged beside information, warnings and errors. Debugging and tracing are independent of
/// each other.
#[derive(Debug, Clone, Copy)]
struct Levels {
    debug: bool,
    trace: bool,
}

impl Levels {
    fn new(options: &Logging) -> Self {
        Levels {
            debug: options.debug,
            trace: options.trace || options.trace_verbose,
        }
    }

    fn has(self, metadata: &Metadata<'_>) -> bool {
        match *metadata.level() {
            Level::TRACE => self.trace,
            Level::DEBUG => self.debug,
            _ => true,
        }
    }
}

impl<S> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        self.has(metadata)
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        match self.has(metadata) {
            true => Interest::always(),
            false => Interest::never(),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match (self.trace, self.debug) {
            (true, _) => LevelFilter::TRACE,
            (false, true) => LevelFilter::DEBUG,
            (false, false) => LevelFilter::INFO,
        })
    }
}

/// Starts logging as configured.
pub fn start(options: &Logging) -> anyhow::Result<Log> {
    let target = Target::new(options)?;
    let look = Look::new(options, &target);
    let (levels, handle) = reload::Layer::new(Levels::new(options));
    let log = Log {
        target: Arc::new(Mutex::new(target)),
        look: Arc::new(ArcSwap::from_pointee(look)),
        levels: handle,
    };
    // Libraries below speak to their own developers; openraft reports each election as a warning.
    let own = tracing_subscriber::filter::filter_fn(move |metadata| {
        let foreign = ["openraft", "rustls", "tokio", "hyper", "mio"];
        let root = metadata.target().split("::").next().unwrap_or_default();
        !foreign.contains(&root)
    });
    let layer = tracing_subscriber::fmt::layer()
        .event_format(Lines(log.look.clone()))
        .with_ansi(look.colours)
        .with_writer(log.clone())
        .with_filter(levels)
        .with_filter(own);
    // A second start in one process keeps the first one's logging.
    tracing_subscriber::registry().with(layer).try_init().ok();
    Ok(log)
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = LogWriter;

    fn make_writer(&'a self) -> LogWriter {
        LogWriter(self.target.clone())
    }
}

/// Writes one line at a time.
pub struct LogWriter(Arc<Mutex<Target>>);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match &mut *self.0.lock() {
            Target::Stderr => io::stderr().write_all(line)?,
            Target::File(file) => file.write(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Lines(Arc<ArcSwap<Look>>);

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let label = match *event.metadata().level() {
            _ if fields.fatal => ("FTL", 31),
            Level::ERROR => ("ERR", 31),
            Level::WARN => ("WRN", 33),
            Level::INFO => ("INF", 32),
            Level::DEBUG => ("DBG", 36),
            Level::TRACE => ("TRC", 36),
        };
        let look = **self.0.load();
        write!(out, "[{}] ", std::process::id())?;
        if look.time {
            write_time(&mut out, look.utc)?;
        }
        match look.colours {
            true => write!(out, "[\x1b[{}m{}\x1b[0m] ", label.1, label.0)?,
            false => write!(out, "[{}] ", label.0)?,
        }
        writeln!(out, "{}{}", fields.message, fields.rest)
    }
}

fn write_time(out: &mut Writer<'_>, utc: bool) -> fmt::Result {
    let now = match utc {
        true => OffsetDateTime::now_utc(),
        false => OffsetDateTime::now_local().unwrap_or_else(|_| OffsetDateTime::now_utc()),
    };
    let format =
        format_description!("[year]/[month]/[day] [hour]:[minute]:[second].[subsecond digits:6]");
    write!(out, "{} ", now.format(&format).map_err(|_| fmt::Error)?)
}

#[derive(Default)]
struct Fields {
    message: String,
    rest: String,
    fatal: bool,
}

impl Visit for Fields {
    fn record_bool(&mut self, field: &Field, value: bool) {
        match field.name() {
            "fatal" => self.fatal = value,
            _ => self.record_debug(field, &value),
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.rest, " {name}={value}"),
        };
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.rest, " {name}={value:?}"),
        };
    }
}
