//! The functions a destination token can be.

use super::TransformError;

/// What one token of a destination becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Literal(String),
    /// A last token `>`: everything the source's `>` matched.
    Rest,
    Wildcard([usize; 1]),
    Partition {
        count: u32,
        of: Vec<usize>,
    },
    Split {
        of: [usize; 1],
        delimiter: String,
    },
    Cut {
        of: [usize; 1],
        size: usize,
        how: Cut,
    },
    Random {
        below: u32,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    SplitFromLeft,
    SplitFromRight,
    SliceFromLeft,
    SliceFromRight,
    Left,
    Right,
}

const INVALID: &str = "function argument is invalid or in the wrong format";

pub(super) fn refuse(token: &str, reason: &'static str) -> TransformError {
    TransformError::Destination {
        token: token.to_owned(),
        reason,
    }
}

impl Function {
    pub(super) fn parse(token: &str) -> Result<Function, TransformError> {
        if token == ">" {
            return Ok(Function::Rest);
        }
        // Other tokens may start with `$` too; those are literal.
        if let Some(index) = token
            .strip_prefix('$')
            .and_then(|digits| digits.parse().ok())
        {
            return Ok(Function::Wildcard([index]));
        }
        let Some(call) = token
            .strip_prefix("{{")
            .and_then(|rest| rest.strip_suffix("}}"))
        else {
            return Ok(Function::Literal(token.to_owned()));
        };
        let (name, arguments) = call
            .trim()
            .strip_suffix(')')
            .and_then(|call| call.split_once('('))
            .ok_or_else(|| refuse(token, "unknown function"))?;
        let arguments: Vec<&str> = arguments.split(',').map(str::trim).collect();
        let name = name.trim().to_ascii_lowercase();
        call_function(token, &name, &arguments)
    }

    /// The wildcards this function reads, counted from 1.
    pub(super) fn arguments(&self) -> &[usize] {
        match self {
            Function::Wildcard(of) | Function::Split { of, .. } | Function::Cut { of, .. } => of,
            Function::Partition { of, .. } => of,
            Function::Literal(_) | Function::Rest | Function::Random { .. } => &[],
        }
    }

    /// Whether it depends on nothing but its own place.
    pub(super) fn is_plain(&self) -> bool {
        matches!(self, Function::Literal(_) | Function::Rest)
    }

    /// The wildcard this function copies, if that is all it does.
    pub(super) fn as_wildcard(&self) -> Option<usize> {
        match self {
            Function::Wildcard([index]) => Some(*index),
            _ => None,
        }
    }

    /// Appends the token or tokens this function gives.
    pub(super) fn write(
        &self,
        out: &mut Vec<u8>,
        tokens: &[&[u8]],
        wildcards: &[usize],
        subject: &[u8],
        seed: u64,
    ) {
        let token = |index: usize| tokens[wildcards[index - 1]];
        match self {
            Function::Literal(text) => out.extend_from_slice(text.as_bytes()),
            Function::Rest => {}
            Function::Wildcard([index]) => out.extend_from_slice(token(*index)),
            Function::Partition { count, of } => {
                let hash = match of.is_empty() {
                    true => fnv1a(subject),
                    false => fnv1a(
                        &of.iter()
                            .map(|index| token(*index))
                            .collect::<Vec<_>>()
                            .concat(),
                    ),
                };
                out.extend_from_slice(
                    (hash.checked_rem(*count).unwrap_or(0))
                        .to_string()
                        .as_bytes(),
                );
            }
            Function::Random { below } => {
                let number = fnv1a(&seed.to_le_bytes()).checked_rem(*below).unwrap_or(0);
                out.extend_from_slice(number.to_string().as_bytes());
            }
            Function::Split {
                of: [index],
                delimiter,
            } => {
                let text = String::from_utf8_lossy(token(*index)).into_owned();
                let parts: Vec<&str> = text
                    .split(delimiter.as_str())
                    .filter(|part| !part.is_empty())
                    .collect();
                out.extend_from_slice(parts.join(".").as_bytes());
            }
            Function::Cut {
                of: [index],
                size,
                how,
            } => how.write(out, token(*index), *size),
        }
    }
}

impl Cut {
    fn write(self, out: &mut Vec<u8>, token: &[u8], size: usize) {
        let whole = size == 0 || size >= token.len();
        if whole {
            return out.extend_from_slice(token);
        }
        let back = token.len() - size;
        let parts: Vec<&[u8]> = match self {
            Cut::SplitFromLeft => vec![&token[..size], &token[size..]],
            Cut::SplitFromRight => vec![&token[..back], &token[back..]],
            Cut::SliceFromLeft => token.chunks(size).collect(),
            Cut::SliceFromRight => {
                let mut parts: Vec<&[u8]> = token.rchunks(size).collect();
                parts.reverse();
                parts
            }
            Cut::Left => vec![&token[..size]],
            Cut::Right => vec![&token[back..]],
        };
        out.extend_from_slice(&parts.join(&b'.'));
    }
}

fn call_function(token: &str, name: &str, arguments: &[&str]) -> Result<Function, TransformError> {
    let arity = |wanted: usize| match arguments.len() {
        count if count < wanted || arguments[0].is_empty() => {
            Err(refuse(token, "not enough arguments passed to the function"))
        }
        count if count > wanted => Err(refuse(token, "too many arguments passed to the function")),
        _ => Ok(()),
    };
    let number = |text: &str| text.parse::<u32>().map_err(|_| refuse(token, INVALID));
    let cut = |how: Cut| {
        arity(2)?;
        let of = [number(arguments[0])? as usize];
        Ok(Function::Cut {
            of,
            size: number(arguments[1])? as usize,
            how,
        })
    };
    match name {
        "wildcard" => {
            arity(1)?;
            Ok(Function::Wildcard([number(arguments[0])? as usize]))
        }
        "partition" => {
            let of = arguments[1..]
                .iter()
                .map(|index| Ok(number(index)? as usize));
            Ok(Function::Partition {
                count: number(arguments[0])?,
                of: of.collect::<Result<_, _>>()?,
            })
        }
        "split" => {
            arity(2)?;
            let delimiter = arguments[1].to_owned();
            if delimiter.is_empty() || delimiter.contains([' ', '.']) {
                return Err(refuse(token, INVALID));
            }
            Ok(Function::Split {
                of: [number(arguments[0])? as usize],
                delimiter,
            })
        }
        "random" => {
            arity(1)?;
            Ok(Function::Random {
                below: number(arguments[0])?,
            })
        }
        "splitfromleft" => cut(Cut::SplitFromLeft),
        "splitfromright" => cut(Cut::SplitFromRight),
        "slicefromleft" => cut(Cut::SliceFromLeft),
        "slicefromright" => cut(Cut::SliceFromRight),
        "left" => cut(Cut::Left),
        "right" => cut(Cut::Right),
        _ => Err(refuse(token, "unknown function")),
    }
}

/// The hash that spreads subjects over partitions; clients depend on it.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193)
    })
}
