//! Forgotten log-in ids and passwords.
//!
//! The answers never tell whether there is such an account, also not by the
//! time that they take: each request does one look-up and starts one task, and
//! is answered; only the task knows whether there is anybody to write to.

use std::net::IpAddr;
use std::sync::Arc;

use endpaper_api::{FieldProblem, Secret};
use endpaper_http::{FieldError, UserId};
use multi_master::{Db, Tx};
use tokio::sync::OwnedSemaphorePermit;

use super::{AccountsError, AccountsService, Inner, RESET_TOKENS_MAX};
use crate::limits::subscriber;
use crate::model::{Account, Email, LoginId, Password, PersonName};
use crate::rules::folded;
use crate::secrets::ResetToken;
use crate::store::{self, ResetRow};
use crate::{mail, model};

impl AccountsService {
    /// Mails the log-in id to the address, where an account has both.
    pub async fn find_login_id(
        &self,
        email: &str,
        name: &str,
        address: Option<IpAddr>,
    ) -> Result<(), AccountsError> {
        let (email, name) = match (Email::parse(email), PersonName::parse(name)) {
            (Ok(email), Ok(name)) => (email, name),
            (email, name) => return Err(invalid([("email", email.err()), ("name", name.err())])),
        };
        let place = self.0.admit_recovery(email.folded(), address)?;
        let wanted = email.folded().to_owned();
        let read =
            self.0.store.read(async move |db: &mut Db| store::user_by_email(db, &wanted).await);
        let found = read.await?.filter(|account| folded(&account.name) == folded(name.as_str()));
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Some(account) = found {
                inner.mail(mail::login_id_mail(&account)).await;
            }
            drop(place);
        });
        Ok(())
    }

    /// Mails a reset token to the address, where an account has both.
    pub async fn verify_account(
        &self,
        login_id: &str,
        email: &str,
        address: Option<IpAddr>,
    ) -> Result<(), AccountsError> {
        let (login_id, email) = match (LoginId::parse(login_id), Email::parse(email)) {
            (Ok(login_id), Ok(email)) => (login_id, email),
            (login_id, email) => {
                return Err(invalid([("loginId", login_id.err()), ("email", email.err())]));
            }
        };
        let place = self.0.admit_recovery(email.folded(), address)?;
        let found = self.find_user(login_id.as_str()).await?;
        let found = found.filter(|account| account.email_folded == email.folded());
        let inner = Arc::clone(&self.0);
        tokio::spawn(async move {
            if let Some(account) = found {
                inner.send_reset_token(&account).await;
            }
            drop(place);
        });
        Ok(())
    }

    /// Sets a new password with a token from a mail. All sessions of the user
    /// end, and all reset tokens with them.
    pub async fn reset_password(
        &self,
        token: &Secret,
        new_password: &Secret,
        confirm_password: &Secret,
        address: Option<IpAddr>,
    ) -> Result<(), AccountsError> {
        let inner = &self.0;
        inner.limiters().recovery_by_address.take(&subscriber(address), inner.clock.now())?;
        let password = Password::parse(new_password)
            .map_err(|problem| invalid([("newPassword", Some(problem))]))?;
        if new_password != confirm_password {
            return Err(invalid([("confirmPassword", Some(FieldProblem::PasswordsDiffer))]));
        }
        let hash = ResetToken::parse(token).ok_or(AccountsError::ResetInvalid)?.hash();
        // Said before the password is hashed, which is dear.
        let read = inner.store.read(async move |db: &mut Db| store::reset_token(db, &hash).await);
        let row = read.await?.ok_or(AccountsError::ResetInvalid)?;
        if row.expires_at <= inner.clock.now() {
            return Err(AccountsError::ResetInvalid);
        }
        let password_hash = inner.passwords.hash(&password).await?;
        let user = row.user;
        let write = inner.store.write(async move |tx: &mut Tx| {
            if store::user(tx, user).await?.is_none() {
                return Err(AccountsError::ResetInvalid);
            }
            // Of two at once with one token, one comes too late.
            if store::reset_token(tx, &hash).await?.is_none() {
                return Err(AccountsError::ResetInvalid);
            }
            store::set_password(tx, user, &password_hash).await?;
            for token in store::reset_tokens(tx, user).await? {
                store::delete_reset_token(tx, &token.hash).await?;
            }
            for session in store::sessions(tx, user).await? {
                store::delete_session(tx, session.id).await?;
            }
            Ok(())
        });
        write.await.into_result()?;
        inner.cache().forget_user(user);
        Ok(())
    }
}

impl Inner {
    /// Counts a recovery against its limits and gives it a place.
    fn admit_recovery(
        &self,
        target: &str,
        address: Option<IpAddr>,
    ) -> Result<OwnedSemaphorePermit, AccountsError> {
        let now = self.clock.now();
        {
            let mut limiters = self.limiters();
            limiters.recovery_by_address.take(&subscriber(address), now)?;
            limiters.recovery_by_target.take(&target.to_owned(), now)?;
        }
        Arc::clone(&self.recoveries).try_acquire_owned().map_err(|_| AccountsError::Busy)
    }

    async fn send_reset_token(&self, account: &Account) {
        let token = ResetToken::new(&self.random);
        if let Err(error) = self.save_reset_token(account.id, token.hash()).await {
            tracing::error!(%error, user = %account.id, "a reset token was not saved, and no mail sent");
            return;
        }
        let minutes = self.config.reset_life.as_secs() / 60;
        let secret = token.to_secret();
        let url = self.config.public_url.as_deref();
        self.mail(mail::reset_mail(account, secret.expose(), minutes, url)).await;
    }

    async fn save_reset_token(
        &self,
        user: UserId,
        hash: model::Digest,
    ) -> Result<(), AccountsError> {
        let now = self.clock.now();
        let row = ResetRow { hash, user, expires_at: now.after(self.config.reset_life) };
        let write = self.store.write(async move |tx: &mut Tx| {
            if store::user(tx, user).await?.is_none() {
                return Err(AccountsError::UserNotFound);
            }
            for old in store::reset_tokens(tx, user).await?.iter().skip(RESET_TOKENS_MAX - 1) {
                store::delete_reset_token(tx, &old.hash).await?;
            }
            store::insert_reset_token(tx, &row, now).await?;
            Ok(())
        });
        write.await.into_result()?;
        Ok(())
    }

    /// Nobody waits for the mail: a failure can only be logged.
    async fn mail(&self, mail: mail::Mail) {
        if let Err(error) = self.mailer.send(mail).await {
            tracing::error!(%error, "a recovery mail was lost");
        }
    }
}

fn invalid<const N: usize>(fields: [(&'static str, Option<FieldProblem>); N]) -> AccountsError {
    AccountsError::Invalid(
        fields
            .into_iter()
            .filter_map(|(field, problem)| Some(FieldError::new(field, problem?)))
            .collect(),
    )
}
