//! Why a tree is refused: the statement is of the wrong kind, or the tree is not understood.

/// A refusal. The text is one sentence for the person or agent who wrote the statement; it quotes
/// names of fields and tags, never a literal of the statement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// The statement is understood, and it is not one plain SELECT.
    #[error("{0}")]
    NotPlainSelect(String),
    /// The tree holds something that is not on the list for this server version.
    #[error("{0}")]
    NotUnderstood(String),
}

pub(crate) type Result<T> = std::result::Result<T, TreeError>;

/// The usual refusal.
pub(crate) fn not_understood<T>(text: impl Into<String>) -> Result<T> {
    Err(TreeError::NotUnderstood(text.into()))
}

/// The statement is of a kind that is not run.
pub(crate) fn not_plain<T>(text: impl Into<String>) -> Result<T> {
    Err(TreeError::NotPlainSelect(text.into()))
}

/// For what the reader has already made impossible: a wrong expectation is a refusal, not a panic.
pub(crate) fn inconsistent(what: &str) -> TreeError {
    TreeError::NotUnderstood(format!("the server's tree is inconsistent: {what}"))
}
