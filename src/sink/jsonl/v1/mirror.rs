//! The format's own copies of the model's plain enums, so that their names in a capture cannot change by accident.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{event, finding, page, transport};

/// Declares a copy of an enum without fields, and the conversions both ways. A variant that is missing here or in the
/// model does not compile.
macro_rules! mirror {
    ($(#[doc = $doc:literal])* $name:ident = $model:path { $($(#[$about:meta])* $variant:ident),+ $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name {
            $($(#[$about])* $variant,)+
        }

        impl From<$model> for $name {
            fn from(x: $model) -> Self {
                use $model as M;
                match x { $(M::$variant => Self::$variant,)+ }
            }
        }

        impl From<$name> for $model {
            fn from(x: $name) -> Self {
                match x { $($name::$variant => Self::$variant,)+ }
            }
        }
    };
}

mirror! {
    /// How a handshake ended.
    Outcome = event::Outcome {
        /// The server accepted it.
        Authenticated,
        /// The server refused a whole handshake.
        Rejected,
        /// Its legs did not come together.
        Broken,
        /// The client did not go on.
        Abandoned,
    }
}

mirror! {
    /// How a link is known.
    Proof = event::LinkProof {
        /// The server's timestamp comes back in the answer.
        Timestamp,
        /// The answer's own time is the server's timestamp.
        ResponseTime,
        /// Only the server's names agree.
        Names,
        /// Only the order on the connection.
        Order,
    }
}

mirror! {
    /// How bad a finding is.
    Severity = finding::Severity {
        /// Identities leak, or everybody is refused.
        Critical,
        /// Users cannot log on.
        High,
        /// Some users are hurt.
        Medium,
        /// Costs something.
        Low,
        /// Good to know.
        Info,
    }
}

mirror! {
    /// How authtap knows.
    Basis = finding::Basis {
        /// The bytes and connection events prove it.
        Observed,
        /// The fact is certain, its cause the likeliest.
        Inferred,
        /// A pattern.
        Suspected,
    }
}

mirror! {
    /// Who ended a connection.
    By = transport::By {
        /// The client.
        Client,
        /// The server behind authtap.
        Upstream,
        /// authtap itself.
        Tap,
    }
}

mirror! {
    /// How a connection ended.
    How = transport::How {
        /// In order.
        Fin,
        /// A reset.
        Reset,
        /// A timeout.
        Timeout,
        /// A TLS alert.
        TlsAlert,
        /// Another error.
        Error,
    }
}

mirror! {
    /// Which layer wrote the body of a refusal.
    PageAuthor = page::PageAuthor {
        /// HTTP.sys: IIS proper did not answer.
        #[serde(rename = "http.sys")]
        HttpSys,
        /// IIS's custom error page, the same for each substatus.
        IisCustom,
        /// IIS's detailed error page.
        IisDetailed,
        /// The application, or another server.
        Application,
        /// There is no body.
        #[serde(rename = "none")]
        Nobody,
        /// There is a body that was not or cannot be read.
        Unread,
    }
}
