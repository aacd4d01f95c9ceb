//! What the controllers of all six kinds need to know about each.

use std::fmt::Debug;

use api::{Account, Consumer, KVBucket, Kind, ObjectStore, Resource, Stream, User};
use kube::core::NamespaceResourceScope;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A kind whose objects are brought to brokers.
pub trait Topological:
    kube::Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
    const KIND: Kind;

    fn into_resource(self) -> Resource;
}

macro_rules! topological {
    ($($kind:ident),+) => {
        $(impl Topological for $kind {
            const KIND: Kind = Kind::$kind;

            fn into_resource(self) -> Resource {
                Resource::$kind(Box::new(self))
            }
        })+
    };
}

topological!(Account, User, Stream, KVBucket, ObjectStore, Consumer);
