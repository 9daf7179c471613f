//! What the page says, in Korean and in English.

use std::time::Duration;

use endpaper_api::Language;
use multi_master::{MasterState, QueueItem};

use crate::time;

/// The words of one language.
#[derive(Clone, Copy, Debug)]
pub(super) struct Words(pub(super) Language);

/// One line a text: its name, Korean, English.
macro_rules! words {
    ($($name:ident $ko:literal $en:literal;)*) => {
        $(pub(super) const fn $name(self) -> &'static str {
            match self.0 { Language::Ko => $ko, Language::En => $en }
        })*
    };
}

impl Words {
    words! {
        title "운영자" "Operator";
        token "운영자 토큰" "Operator's token";
        log_in "로그인" "Log in";
        log_out "로그아웃" "Log out";
        where_token
            "토큰은 데이터 디렉터리의 operator-token 파일에 있습니다. operator.token으로 정했다면 그 값입니다."
            "The token is in the file operator-token of the data directory, or what operator.token says.";
        wrong_token "토큰이 맞지 않습니다." "That is not the token.";
        too_often
            "잘못된 토큰이 너무 많이 들어왔습니다. 1분 뒤에 다시 해 주세요."
            "Too many wrong tokens came. Try again in a minute.";
        other_language "English" "한국어";
        no_answer
            "서버가 대답하지 않습니다. 아래는 마지막으로 본 모습입니다."
            "The server does not answer. What you see is how it was last.";

        all_well "모두 정상입니다." "All is well.";
        readers_fine
            "독자는 아무것도 느끼지 못합니다. 남은 데이터베이스가 모두 가지고 있습니다."
            "Readers notice nothing: the others have everything.";
        writes_refused "쓰기가 모두 거절되고 있습니다." "Every write is refused.";
        something "살펴볼 것이 있습니다." "There is something to look at.";

        masters "데이터베이스" "Masters";
        epoch "에포크" "Epoch";
        statements "문장" "Statements";
        commits "커밋" "Commits";
        pool_waits "연결 대기" "Waits for a connection";
        last_minute
            "지난 1분, 절반과 99%가 걸린 시간"
            "Of the last minute: what half and 99 % took at most";
        nothing_measured "없음" "none";
        away_for "빠진 지" "Away for";
        owed "밀린 쓰기 묶음" "Write-sets owed";
        lag "뒤처짐" "Lag";
        not_known "알 수 없음" "not known";
        to_be_filled "돌아오면 새로 채웁니다" "filled anew when it is back";
        failures "연속 실패" "Failures in a row";
        next_try "다음 시도" "Next try";
        now_trying "지금 시도하고 있습니다" "being tried now";
        why "까닭" "Why";
        in_doubt_for "알 수 없는 지" "In doubt for";
        last_error "마지막 오류" "Last error";

        queue "복구 대기열" "Recovery queue";
        queue_empty
            "비어 있습니다. 모든 데이터베이스가 모든 쓰기를 가지고 있습니다."
            "Empty: every master has every write.";
        retry "지금 시도" "Try now";
        drop "버리기…" "Drop…";
        in_doubt "결과를 모르는 트랜잭션" "Transaction in doubt";
        and_more "개 더 있습니다" "more";
        fell_out "개는 대기열이 가득 차서 빠졌습니다" "fell out: the queue was full";

        sagas "주문 사가" "Sagas of orders";
        no_sagas "아직 없습니다." "There are none yet.";
        decided "결정했습니다. 사가가 이어집니다." "Decided: the saga goes on.";
        leave_out "단계 건너뛰기" "Leave a step out";

        alerts "열린 알림" "Open alerts";
        no_alerts "없습니다." "None.";
        resolving "나아졌는지 지켜보는 중" "well again; watched whether it stays so";

        verify "비교" "Comparison";
        compare_now "지금 비교" "Compare now";
        never_compared
            "서버를 시작한 뒤로 아직 비교하지 않았습니다."
            "Not compared since the server was started.";
        comparing
            "데이터베이스를 비교하고 있습니다."
            "The masters are being compared.";
        next_comparison "다음" "Next";
        by_schedule "정해진 때에" "on schedule";
        by_operator "운영자가" "by an operator";
        by_refusal "쓰기가 거절되어서" "because a write was refused";
        structure_wrong
            "테이블이 프로그램이 만든 것과 다릅니다."
            "The tables are not as the program made them.";
        repair_hint "고치는 명령" "What repairs it";

        failovers "넘겨받기" "Failovers";
        of_reads "읽기" "reads";
        of_writes "쓰기의 첫 자리" "the first place of writes";
        nobody "아무도" "nobody";
        times "번" "times";

        faults "지난 일" "The last faults";
        no_faults "없습니다." "None since the start.";

        reason "까닭" "Reason";
        do_drop "버립니다" "Drop it";
        back "돌아가기" "Back";
        drop_master
            "이 데이터베이스에 밀린 것을 버립니다. 돌아오면 다른 데이터베이스의 것으로 처음부터 새로 채웁니다. 데이터는 잃지 않고, 시간이 더 걸릴 뿐입니다."
            "What is owed to this master is dropped: when it is back it is filled anew from another one. No data is lost; it takes longer.";
        drop_transaction
            "이 트랜잭션이 저장되었는지 더는 찾지 않습니다. 저장되었다면 저장된 채로 있습니다. 까닭은 mm_conflicts에 남습니다."
            "Whether this transaction was saved is looked up no more. If it was saved, it stays so. The reason is kept in mm_conflicts.";
    }

    pub(super) const fn code(self) -> &'static str {
        match self.0 {
            Language::Ko => "ko",
            Language::En => "en",
        }
    }

    pub(super) const fn other(self) -> &'static str {
        match self.0 {
            Language::Ko => "en",
            Language::En => "ko",
        }
    }

    pub(super) const fn state(self, state: MasterState) -> &'static str {
        match (self.0, state) {
            (Language::Ko, MasterState::Live) => "정상",
            (Language::Ko, MasterState::Suspect) => "의심",
            (Language::Ko, MasterState::Behind) => "뒤처짐",
            (Language::Ko, MasterState::Joining) => "합류 중",
            (Language::Ko, MasterState::Down) => "빠짐",
            (Language::En, MasterState::Live) => "serves",
            (Language::En, MasterState::Suspect) => "is being asked",
            (Language::En, MasterState::Behind) => "misses writes",
            (Language::En, MasterState::Joining) => "gets the last of it",
            (Language::En, MasterState::Down) => "can't be used",
        }
    }

    pub(super) fn are_away(self, names: &str) -> String {
        match self.0 {
            Language::Ko => format!("{names}: 빠져 있습니다."),
            Language::En => format!("Away: {names}."),
        }
    }

    pub(super) fn duration(self, duration: Duration) -> String {
        let text = time::duration(duration);
        match self.0 {
            Language::En => text,
            Language::Ko => text
                .split(' ')
                .map(|part| match part {
                    "d" => "일",
                    "h" => "시간",
                    "min" => "분",
                    "s" => "초",
                    number => number,
                })
                .collect::<Vec<_>>()
                .join(" ")
                .replace(" 일", "일")
                .replace(" 시간", "시간")
                .replace(" 분", "분")
                .replace(" 초", "초"),
        }
    }

    pub(super) fn since(self, instant: &str) -> String {
        match self.0 {
            Language::Ko => format!("{instant}부터"),
            Language::En => format!("since {instant}"),
        }
    }

    pub(super) fn within(self, duration: Duration) -> String {
        let text = self.duration(duration);
        match self.0 {
            Language::Ko => format!("{text} 뒤"),
            Language::En => format!("in {text}"),
        }
    }

    pub(super) fn count(self, count: u64, or_more: bool) -> String {
        match (self.0, or_more) {
            (_, false) => count.to_string(),
            (Language::Ko, true) => format!("{count}개가 넘음"),
            (Language::En, true) => format!("more than {count}"),
        }
    }

    pub(super) fn conflicts_kept(self, count: u64) -> String {
        match self.0 {
            Language::Ko => format!("밀려난 것 {count}개를 남겨 두었습니다."),
            Language::En => format!("{count} that lost are kept."),
        }
    }

    pub(super) fn compared(self, rows: u64, different: u64, repaired: u64) -> String {
        match (self.0, different) {
            (Language::Ko, 0) => format!("{rows}행이 모두 같습니다."),
            (Language::En, 0) => format!("{rows} rows, all the same."),
            (Language::Ko, _) => {
                format!("{rows}행 가운데 {different}행이 다르고, {repaired}행을 고쳤습니다.")
            }
            (Language::En, _) => {
                format!("{rows} rows, {different} different, {repaired} repaired.")
            }
        }
    }

    pub(super) fn rows_so_far(self, rows: u64) -> String {
        match self.0 {
            Language::Ko => format!("지금까지 {rows}행"),
            Language::En => format!("{rows} rows so far"),
        }
    }

    pub(super) fn trying(self, item: &QueueItem) -> String {
        match self.0 {
            Language::Ko => format!("{item}: 지금 시도합니다."),
            Language::En => format!("{item}: tried now."),
        }
    }

    pub(super) fn known(self, item: &QueueItem, saved: bool) -> String {
        match (self.0, saved) {
            (Language::Ko, true) => format!("{item}: 저장되었습니다."),
            (Language::Ko, false) => format!("{item}: 저장되지 않았습니다."),
            (Language::En, true) => format!("{item}: it was saved."),
            (Language::En, false) => format!("{item}: it was not saved."),
        }
    }

    pub(super) fn still_in_doubt(self, item: &QueueItem, why: &str) -> String {
        match self.0 {
            Language::Ko => format!("{item}: 아직 알 수 없습니다: {why}"),
            Language::En => format!("{item}: still in doubt: {why}"),
        }
    }

    pub(super) fn tries(self, tries: u32) -> String {
        match self.0 {
            Language::Ko => format!("{tries}번 시도"),
            Language::En => format!("{tries} tries"),
        }
    }

    pub(super) fn dropped(self, item: &QueueItem) -> String {
        match self.0 {
            Language::Ko => format!("{item}: 버렸습니다."),
            Language::En => format!("{item}: dropped."),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn korean_durations_have_korean_units() {
        let words = Words(Language::Ko);
        assert_eq!(words.duration(Duration::from_secs(3_725)), "1시간 2분");
        assert_eq!(words.within(Duration::from_secs(5)), "5초 뒤");
    }
}
