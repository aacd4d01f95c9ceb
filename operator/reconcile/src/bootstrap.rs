//! What servers must know before they start: whom to trust, and the account they talk in.

use identity::Creds;
use identity::jwt::{self, AccountClaims, OperatorClaims, UserClaims};
use identity::nkey::{KeyPair, Kind};

use crate::broker::Caller;
use crate::environment::Environment;
use crate::keys::{Entry, KeyStore, KeyStoreError, Secret};

const OPERATOR_NAME: &str = "weir";
const SYSTEM_ACCOUNT_NAME: &str = "SYS";

/// The keys that everything else is signed with.
#[derive(Clone, Debug)]
pub struct Roots {
    pub(crate) operator: KeyPair,
    pub(crate) system_account: KeyPair,
}

/// What goes into the configuration of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bootstrap {
    /// For `operator`.
    pub operator_token: String,
    /// For `system_account`.
    pub system_account: String,
    /// For `resolver_preload`, under the system account's key.
    pub system_account_token: String,
}

/// Why the roots could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error(transparent)]
    KeyStore(#[from] KeyStoreError),
    #[error("secret {entry} is damaged: {reason}; restore it, for nothing else can sign")]
    Damaged {
        entry: Entry,
        reason: identity::nkey::Error,
    },
    #[error("secret {entry} does not exist; create it, or remove keySecretRef to have one made")]
    NotGiven { entry: Entry },
    #[error("signing: {0}")]
    Signing(#[from] jwt::Error),
}

impl Roots {
    /// Loads the keys, and makes them if there are none yet.
    ///
    /// # Errors
    /// If they can not be loaded or kept. A damaged key is never replaced.
    pub async fn load(
        store: &dyn KeyStore,
        environment: &Environment,
    ) -> Result<Roots, RootsError> {
        let operator = Entry::OperatorSeed;
        let system = Entry::SystemAccountSeed;
        Ok(Roots {
            operator: load_or_make(store, environment, &operator, Kind::Operator).await?,
            system_account: load_or_make(store, environment, &system, Kind::Account).await?,
        })
    }

    /// The same for the same keys and time of issue.
    ///
    /// # Errors
    /// Those of signing.
    pub fn bootstrap(&self, now_s: i64) -> Result<Bootstrap, RootsError> {
        let system_account = self.system_account.public_key();
        let mut operator = OperatorClaims::new(&self.operator.public_key());
        operator.name = OPERATOR_NAME.to_owned();
        operator.body.system_account = system_account.clone();
        let mut account = AccountClaims::new(&system_account);
        account.name = SYSTEM_ACCOUNT_NAME.to_owned();
        account.body.limits = jwt::OperatorLimits::unlimited();
        Ok(Bootstrap {
            operator_token: operator.encode(&self.operator, now_s)?,
            system_account_token: account.encode(&self.operator, now_s)?,
            system_account,
        })
    }

    /// Who asks servers to do something, in the system account.
    pub fn system_caller(&self) -> Caller {
        Caller::Account(Box::new(self.system_account.clone()))
    }

    /// Credentials of a user of the system account, for people and monitoring.
    ///
    /// # Errors
    /// Those of signing.
    pub fn system_creds(&self, name: &str, environment: &Environment) -> Result<Creds, RootsError> {
        let key = KeyPair::from_entropy(Kind::User, environment.entropy());
        let mut claims = UserClaims::new(&key.public_key());
        claims.name = name.to_owned();
        claims.body.limits = jwt::UserLimits::unlimited();
        let jwt = claims.encode(&self.system_account, environment.now().as_second())?;
        Ok(Creds { jwt, key })
    }
}

/// Loads a key, and makes it if there is none yet.
pub(crate) async fn load_or_make(
    store: &dyn KeyStore,
    environment: &Environment,
    entry: &Entry,
    kind: Kind,
) -> Result<KeyPair, RootsError> {
    if let Some(key) = load(store, entry).await? {
        return Ok(key);
    }
    if matches!(entry, Entry::Given { .. }) {
        let entry = entry.clone();
        return Err(RootsError::NotGiven { entry });
    }
    let key = KeyPair::from_entropy(kind, environment.entropy());
    // It must be kept before anything is signed with it.
    store.save(entry, &Secret::new(key.seed())).await?;
    Ok(key)
}

/// Loads a key if there is one.
pub(crate) async fn load(
    store: &dyn KeyStore,
    entry: &Entry,
) -> Result<Option<KeyPair>, RootsError> {
    let Some(seed) = store.load(entry).await? else {
        return Ok(None);
    };
    let key = KeyPair::from_seed(seed.expose().trim());
    key.map(Some).map_err(|reason| RootsError::Damaged {
        entry: entry.clone(),
        reason,
    })
}
