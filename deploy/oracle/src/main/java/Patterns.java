import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What java.util.regex makes of a pattern.
 *
 * <pre>
 * {"op":"pattern","regex":"..","text":"..","replacement":".." or null}
 *   -> {"matches":bool,"replaced":".."}     Matcher.matches, then Matcher.replaceFirst of the same text; null without a replacement
 *      {"matches":bool,"replaced":null,"refused":"IllegalArgumentException","message":".."}   when the replacement throws
 * {"op":"pattern","regex":"..","points":[[first,last],..]}   which of these code points match it, each as a text of its own
 *   -> {"points":[[first,last],..]}
 * a pattern that Java refuses is an error like any other
 * </pre>
 */
final class Patterns {
    private Patterns() {
    }

    static ObjectNode answer(JsonNode question) {
        Pattern pattern = Pattern.compile(question.get("regex").asText());
        ObjectNode answer = Oracle.JSON.createObjectNode();
        if (question.has("points")) {
            points(pattern, question.get("points"), answer.putArray("points"));
            return answer;
        }
        Matcher matcher = pattern.matcher(question.get("text").asText());
        answer.put("matches", matcher.matches());
        answer.putNull("replaced");
        if (question.get("replacement").isNull()) {
            return answer;
        }
        try {
            answer.put("replaced", matcher.replaceFirst(question.get("replacement").asText()));
        } catch (RuntimeException e) {
            answer.put("refused", e.getClass().getSimpleName());
            answer.put("message", e.getMessage());
        }
        return answer;
    }

    private static void points(Pattern pattern, JsonNode ranges, ArrayNode found) {
        for (JsonNode range : ranges) {
            int first = -1;
            int last = range.get(1).asInt();
            for (int point = range.get(0).asInt(); point <= last + 1; point++) {
                boolean matches = point <= last && pattern.matcher(Character.toString(point)).matches();
                if (matches && first < 0) {
                    first = point;
                } else if (!matches && first >= 0) {
                    found.addArray().add(first).add(point - 1);
                    first = -1;
                }
            }
        }
    }
}
