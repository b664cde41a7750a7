import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.text.ParseException;
import java.text.SimpleDateFormat;
import java.util.Calendar;
import java.util.Date;
import java.util.GregorianCalendar;
import java.util.Locale;
import java.util.TimeZone;

/**
 * What java.text.SimpleDateFormat makes of a date, in UTC and with Locale.US; each question gets a formatter of its own.
 *
 * <pre>
 * {"op":"date","pattern":"..","now_millis":n,"format_millis":n}   -> {"text":".."}
 * {"op":"date","pattern":"..","now_millis":n,"parse":".."}        -> {"millis":n}
 * a text that does not match the pattern  -> {"error":"ParseException","message":"..","offset":n}
 * a pattern that is wrong                 -> {"error":"IllegalArgumentException","message":"..","causes":[]}
 * </pre>
 *
 * {@code now_millis} takes the place of the clock: two-digit years start 80 years before it.
 */
final class Dates {
    private static final TimeZone UTC = TimeZone.getTimeZone("UTC");

    private Dates() {
    }

    static ObjectNode answer(JsonNode question) {
        SimpleDateFormat format = new SimpleDateFormat(question.get("pattern").asText(), Locale.US);
        format.setTimeZone(UTC);
        Calendar start = new GregorianCalendar(UTC, Locale.US);
        start.setTimeInMillis(question.get("now_millis").asLong());
        start.add(Calendar.YEAR, -80);
        format.set2DigitYearStart(start.getTime());
        ObjectNode answer = Oracle.JSON.createObjectNode();
        if (question.has("format_millis")) {
            return answer.put("text", format.format(new Date(question.get("format_millis").asLong())));
        }
        try {
            return answer.put("millis", format.parse(question.get("parse").asText()).getTime());
        } catch (ParseException e) {
            return answer.put("error", "ParseException").put("message", e.getMessage()).put("offset", e.getErrorOffset());
        }
    }
}
