//! Sign-up, duplicate checks, profile, and what operators do.

use std::net::IpAddr;

use endpaper_api::accounts::{AccountStatus, Role};
use endpaper_api::{FieldProblem, Language, Secret};
use endpaper_http::{FieldError, UserId};
use multi_master::{Db, DbError, Tx};

use super::{AccountsError, AccountsService};
use crate::limits::subscriber;
use crate::model::{Account, Email, LoginId, Password, PersonName};
use crate::store::{self, USERS_BY_EMAIL, USERS_BY_LOGIN_ID};

/// The log-in id of the demo account.
pub const DEMO_LOGIN_ID: &str = "demo";

/// The password of the demo account, which everybody may know.
pub const DEMO_PASSWORD: &str = "endpaper-demo";

/// An account to be made, as somebody typed it.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// 4 to 32 of `a–z`, `0–9`, `_`, `.`, `-`.
    pub login_id: String,
    /// A mail address.
    pub email: String,
    /// 1 to 50 characters.
    pub name: String,
    /// 8 to 128 characters.
    pub password: Secret,
    /// An IANA name that exists.
    pub time_zone: String,
    /// Of mail.
    pub language: Language,
}

/// The parts that hold.
struct Checked {
    login_id: LoginId,
    email: Email,
    name: PersonName,
    password: Password,
}

impl NewAccount {
    /// All that is wrong, in one answer.
    fn check(&self) -> Result<Checked, AccountsError> {
        let parts = (
            LoginId::parse(&self.login_id),
            Email::parse(&self.email),
            PersonName::parse(&self.name),
            Password::parse(&self.password),
        );
        if let (Ok(login_id), Ok(email), Ok(name), Ok(password)) = parts {
            return Ok(Checked { login_id, email, name, password });
        }
        let problems = [
            ("loginId", parts.0.err()),
            ("email", parts.1.err()),
            ("name", parts.2.err()),
            ("password", parts.3.err()),
        ];
        Err(AccountsError::Invalid(
            problems
                .into_iter()
                .filter_map(|(field, problem)| Some(FieldError::new(field, problem?)))
                .collect(),
        ))
    }
}

impl AccountsService {
    /// Makes an account of a person who signs up.
    pub async fn sign_up(
        &self,
        new: &NewAccount,
        address: Option<IpAddr>,
    ) -> Result<Account, AccountsError> {
        let now = self.0.clock.now();
        self.0.limiters().signup_by_address.take(&subscriber(address), now)?;
        self.create_user(new, Role::User).await
    }

    /// Makes an account, without the limits of a sign-up: for operators.
    pub async fn create_user(
        &self,
        new: &NewAccount,
        role: Role,
    ) -> Result<Account, AccountsError> {
        let Checked { login_id, email, name, password } = new.check()?;
        // Said before the password is hashed, which is dear.
        self.must_be_free(&login_id, &email).await?;
        let account = Account {
            id: self.0.ids.next(),
            login_id: login_id.as_str().to_owned(),
            email: email.as_str().to_owned(),
            email_folded: email.folded().to_owned(),
            name: name.as_str().to_owned(),
            password_hash: self.0.passwords.hash(&password).await?,
            role,
            status: AccountStatus::Active,
            time_zone: new.time_zone.clone(),
            language: new.language,
            created_at: self.0.clock.now(),
        };
        let row = account.clone();
        let saved = self.0.store.write(async move |tx: &mut Tx| {
            store::insert_user(tx, &row).await?;
            Ok::<_, AccountsError>(())
        });
        match saved.await.into_result().map_err(AccountsError::from) {
            Ok(()) => Ok(account),
            // Of two at once the store took one.
            Err(AccountsError::Store(DbError::Duplicate { index, .. })) => {
                Err(match index.as_str() {
                    USERS_BY_LOGIN_ID => AccountsError::LoginIdTaken,
                    USERS_BY_EMAIL => AccountsError::EmailTaken,
                    other => AccountsError::Broken(format!("a new user's `{other}` is taken")),
                })
            }
            Err(error) => Err(error),
        }
    }

    async fn must_be_free(&self, login_id: &LoginId, email: &Email) -> Result<(), AccountsError> {
        let (login_id, email) = (login_id.as_str().to_owned(), email.folded().to_owned());
        let read = self.0.store.read(async move |db: &mut Db| {
            if store::login_id_exists(db, &login_id).await? {
                return Err(AccountsError::LoginIdTaken);
            }
            if store::email_exists(db, &email).await? {
                return Err(AccountsError::EmailTaken);
            }
            Ok(())
        });
        read.await
    }

    /// Whether a log-in id is taken. The field of a wrong one is `value`.
    pub async fn is_login_id_taken(
        &self,
        value: &str,
        address: Option<IpAddr>,
    ) -> Result<bool, AccountsError> {
        self.0.limiters().lookup_by_address.take(&subscriber(address), self.0.clock.now())?;
        let login_id = LoginId::parse(value).map_err(value_field)?.as_str().to_owned();
        Ok(self
            .0
            .store
            .read(async move |db: &mut Db| store::login_id_exists(db, &login_id).await)
            .await?)
    }

    /// Whether a mail address is taken. The field of a wrong one is `value`.
    pub async fn is_email_taken(
        &self,
        value: &str,
        address: Option<IpAddr>,
    ) -> Result<bool, AccountsError> {
        self.0.limiters().lookup_by_address.take(&subscriber(address), self.0.clock.now())?;
        let email = Email::parse(value).map_err(value_field)?.folded().to_owned();
        Ok(self
            .0
            .store
            .read(async move |db: &mut Db| store::email_exists(db, &email).await)
            .await?)
    }

    /// The user's own account.
    pub async fn profile(&self, user: UserId) -> Result<Account, AccountsError> {
        let account =
            self.0.store.read(async move |db: &mut Db| store::user(db, user).await).await?;
        account.ok_or(AccountsError::UserNotFound)
    }

    /// Changes what is given of the profile, and keeps the rest.
    pub async fn change_profile(
        &self,
        user: UserId,
        name: Option<&str>,
        time_zone: Option<&str>,
        language: Option<Language>,
    ) -> Result<Account, AccountsError> {
        let mut wrong = Vec::new();
        let name = match name.map(PersonName::parse).transpose() {
            Ok(name) => name.map(|name| name.as_str().to_owned()),
            Err(problem) => {
                wrong.push(FieldError::new("name", problem));
                None
            }
        };
        let zone = time_zone.map(endpaper_http::headers::time_zone);
        if matches!(zone, Some(None)) {
            wrong.push(FieldError::new("timeZone", FieldProblem::NotATimeZone));
        }
        // In the spelling of the database, whatever case was typed.
        let zone = zone.flatten().and_then(|zone| zone.iana_name().map(str::to_owned));
        if !wrong.is_empty() {
            return Err(AccountsError::Invalid(wrong));
        }
        let write = self.0.store.write(async move |tx: &mut Tx| {
            let Some(account) = store::user(tx, user).await? else {
                return Err(AccountsError::UserNotFound);
            };
            if name.is_none() && zone.is_none() && language.is_none() {
                return Ok(account);
            }
            Ok(store::update_profile(tx, user, name.as_deref(), zone.as_deref(), language).await?)
        });
        let account = write.await.into_result()?;
        self.0.cache().forget_user(user);
        Ok(account)
    }

    /// The account with this log-in id: for operators.
    pub async fn find_user(&self, login_id: &str) -> Result<Option<Account>, AccountsError> {
        let Ok(login_id) = LoginId::parse(login_id) else { return Ok(None) };
        let read = self
            .0
            .store
            .read(async move |db: &mut Db| store::user_by_login_id(db, login_id.as_str()).await);
        Ok(read.await?)
    }

    /// At most `most` accounts in the order of their log-in ids, from the first
    /// after `login_id` (`""` for the very first): for operators.
    pub async fn users_after(
        &self,
        login_id: &str,
        most: u32,
    ) -> Result<Vec<Account>, AccountsError> {
        let after = login_id.to_owned();
        let read =
            self.0.store.read(async move |db: &mut Db| store::users_after(db, &after, most).await);
        Ok(read.await?)
    }

    /// The demo account, made where there is none.
    pub async fn ensure_demo_user(&self) -> Result<Account, AccountsError> {
        if let Some(account) = self.find_user(DEMO_LOGIN_ID).await? {
            return Ok(account);
        }
        let new = NewAccount {
            login_id: DEMO_LOGIN_ID.to_owned(),
            email: "demo@example.com".to_owned(),
            name: "Demo".to_owned(),
            password: Secret::new(DEMO_PASSWORD)
                .map_err(|_| AccountsError::Broken("the demo password".to_owned()))?,
            time_zone: "Asia/Seoul".to_owned(),
            language: Language::default(),
        };
        self.create_user(&new, Role::User).await
    }

    /// Changes what a user may do: for operators. Other processes notice within
    /// [`super::Config::believe_sessions_for`].
    pub async fn set_role(&self, login_id: &str, role: Role) -> Result<Account, AccountsError> {
        let user = self.find_user(login_id).await?.ok_or(AccountsError::UserNotFound)?.id;
        let write = self.0.store.write(async move |tx: &mut Tx| {
            store::set_role(tx, user, role).await?;
            Ok::<_, AccountsError>(())
        });
        write.await.into_result()?;
        self.0.cache().forget_user(user);
        self.profile(user).await
    }

    /// Closes or reopens an account: for operators. Other processes notice
    /// within [`super::Config::believe_sessions_for`].
    pub async fn set_status(
        &self,
        login_id: &str,
        status: AccountStatus,
    ) -> Result<Account, AccountsError> {
        let user = self.find_user(login_id).await?.ok_or(AccountsError::UserNotFound)?.id;
        let write = self.0.store.write(async move |tx: &mut Tx| {
            store::set_status(tx, user, status).await?;
            Ok::<_, AccountsError>(())
        });
        write.await.into_result()?;
        self.0.cache().forget_user(user);
        self.profile(user).await
    }
}

fn value_field(problem: FieldProblem) -> AccountsError {
    AccountsError::Invalid(vec![FieldError::new("value", problem)])
}
