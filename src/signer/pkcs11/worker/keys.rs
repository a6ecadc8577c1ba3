//! Finds private RSA keys, and what the token shows of them.
//!
//! Easy to get wrong: the modulus need not be in the private object, and the public object may be deleted; then a
//! certificate object with the same id tells. And a module that does not know an attribute may fail the whole question.

use cryptoki::error::Error;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use super::{Failure, failed};
use crate::signer::pkcs11::messages::Key;

/// Those with this label and this id, where given.
pub(super) fn find(
    session: &Session,
    label: Option<&str>,
    id: Option<&[u8]>,
) -> Result<Vec<(ObjectHandle, Key)>, Failure> {
    let mut template = vec![Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::KeyType(KeyType::RSA)];
    template.extend(label.map(|label| Attribute::Label(label.into())));
    template.extend(id.map(|id| Attribute::Id(id.into())));
    objects(session, &template)?.into_iter().map(|handle| Ok((handle, key(session, handle)?))).collect()
}

fn key(session: &Session, handle: ObjectHandle) -> Result<Key, Failure> {
    use AttributeType as Type;
    let mut key = Key { handle: handle.handle(), ..Key::default() };
    let names = [Type::Label, Type::Id, Type::Modulus, Type::PublicExponent];
    let permissions = [Type::Sign, Type::AlwaysAuthenticate, Type::Extractable];
    read(session, handle, &names, &mut key)?;
    read(session, handle, &permissions, &mut key)?;
    if let (None, Some(id)) = (&key.modulus, &key.id) {
        let with = |class| vec![Attribute::Class(class), Attribute::Id(id.clone())];
        let (public, certificate) = (with(ObjectClass::PUBLIC_KEY), with(ObjectClass::CERTIFICATE));
        if let [public] = objects(session, &public)?[..] {
            read(session, public, &[Type::Modulus, Type::PublicExponent], &mut key)?;
        }
        if let (None, [certificate]) = (&key.modulus, &objects(session, &certificate)?[..]) {
            read(session, *certificate, &[Type::Value], &mut key)?;
        }
    }
    Ok(key)
}

fn objects(session: &Session, template: &[Attribute]) -> Result<Vec<ObjectHandle>, Failure> {
    session.find_objects(template).map_err(|error| failed("C_FindObjects", &error))
}

/// Adds what the object shows of these attributes.
fn read(session: &Session, object: ObjectHandle, wanted: &[AttributeType], key: &mut Key) -> Result<(), Failure> {
    match session.get_attributes(object, wanted) {
        Ok(attributes) => attributes.into_iter().for_each(|attribute| take(attribute, key)),
        Err(error @ Error::Pkcs11(..)) => return Err(failed("C_GetAttributeValue", &error)),
        // A value that makes no sense spoils those that were asked for with it.
        Err(_) if wanted.len() > 1 => {
            return wanted.iter().try_for_each(|one| read(session, object, &[*one], key));
        }
        Err(_) => {}
    }
    Ok(())
}

fn take(attribute: Attribute, key: &mut Key) {
    // Empty is how some modules say that they do not tell.
    let some = |bytes: Vec<u8>| Some(bytes).filter(|bytes| !bytes.is_empty());
    match attribute {
        Attribute::Label(label) => key.label = some(label).map(|label| String::from_utf8_lossy(&label).into_owned()),
        Attribute::Id(id) => key.id = some(id),
        Attribute::Modulus(modulus) => key.modulus = some(modulus),
        Attribute::PublicExponent(exponent) => key.exponent = some(exponent),
        Attribute::Value(certificate) => key.certificate = some(certificate),
        Attribute::Sign(sign) => key.sign = Some(sign),
        Attribute::AlwaysAuthenticate(always) => key.always_authenticate = Some(always),
        Attribute::Extractable(extractable) => key.extractable = Some(extractable),
        _ => {}
    }
}
