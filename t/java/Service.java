// A service on Eventuate Tram, as users write them: it publishes and consumes
// domain events, sends and handles commands, orchestrates a saga and takes part
// in it.  t/Tram.pm runs it; each line of its input is an order, each line of
// its output that begins with "> " tells what it has received.
//
//	java eventuate.test.Service NAME JDBC-URL BROKERS [--PROPERTY=VALUE...]

package eventuate.test;

import static io.eventuate.tram.commands.consumer.CommandHandlerReplyBuilder.withFailure;
import static io.eventuate.tram.commands.consumer.CommandHandlerReplyBuilder.withSuccess;
import static io.eventuate.tram.commands.consumer.CommandWithDestinationBuilder.send;

import io.eventuate.tram.commands.common.Command;
import io.eventuate.tram.commands.consumer.CommandDispatcher;
import io.eventuate.tram.commands.consumer.CommandDispatcherFactory;
import io.eventuate.tram.commands.consumer.CommandHandlersBuilder;
import io.eventuate.tram.commands.consumer.CommandMessage;
import io.eventuate.tram.commands.consumer.CommandWithDestination;
import io.eventuate.tram.commands.consumer.PathVariables;
import io.eventuate.tram.commands.producer.CommandProducer;
import io.eventuate.tram.events.common.DomainEvent;
import io.eventuate.tram.events.publisher.DomainEventPublisher;
import io.eventuate.tram.events.subscriber.DomainEventDispatcher;
import io.eventuate.tram.events.subscriber.DomainEventDispatcherFactory;
import io.eventuate.tram.events.subscriber.DomainEventEnvelope;
import io.eventuate.tram.events.subscriber.DomainEventHandlersBuilder;
import io.eventuate.tram.messaging.common.Message;
import io.eventuate.tram.messaging.consumer.MessageConsumer;
import io.eventuate.tram.messaging.producer.MessageBuilder;
import io.eventuate.tram.messaging.producer.MessageProducer;
import io.eventuate.tram.sagas.orchestration.SagaDefinition;
import io.eventuate.tram.sagas.orchestration.SagaInstanceFactory;
import io.eventuate.tram.sagas.participant.SagaCommandDispatcher;
import io.eventuate.tram.sagas.participant.SagaCommandDispatcherFactory;
import io.eventuate.tram.sagas.participant.SagaCommandHandlersBuilder;
import io.eventuate.tram.sagas.simpledsl.SimpleSaga;
import io.eventuate.tram.sagas.spring.orchestration.SagaOrchestratorConfiguration;
import io.eventuate.tram.sagas.spring.participant.SagaParticipantConfiguration;
import io.eventuate.tram.spring.commands.consumer.TramCommandConsumerConfiguration;
import io.eventuate.tram.spring.commands.producer.TramCommandProducerConfiguration;
import io.eventuate.tram.spring.events.publisher.TramEventsPublisherConfiguration;
import io.eventuate.tram.spring.events.subscriber.TramEventSubscriberConfiguration;
import io.eventuate.tram.spring.jdbckafka.TramJdbcKafkaConfiguration;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Collections;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.EnableAutoConfiguration;
import org.springframework.context.ConfigurableApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;
import org.springframework.context.annotation.Import;
import org.springframework.transaction.support.TransactionTemplate;

// What goes over the wire; SQL names these classes as well.
class OrderCreated implements DomainEvent {
	public int number;
	public String note;
}

class Reserve implements Command {
	public int amount;
}

class Release implements Command {
	public int amount;
}

class Approve implements Command {
	public int order;
}

class Reserved {
	public int amount;
	public String path;
}

class OrderData {
	public int order;
}

// Reserve in Java, approve in SQL; if that fails, release.
class OrderSaga implements SimpleSaga<OrderData> {
	private final SagaDefinition<OrderData> definition =
		step()
			.invokeLocal(this::create)
			.withCompensation(this::reject)
		.step()
			.invokeParticipant(this::reserve)
			.withCompensation(this::release)
		.step()
			.invokeParticipant(this::approve)
		.step()
			.invokeLocal(this::accept)
		.build();

	@Override
	public SagaDefinition<OrderData> getSagaDefinition() {
		return definition;
	}

	@Override
	public String getSagaType() {
		return "OrderSaga-" + Service.name;
	}

	private CommandWithDestination reserve(OrderData data) {
		Reserve command = new Reserve();
		command.amount = data.order;
		return send(command).to("participant-" + Service.name).build();
	}

	private CommandWithDestination release(OrderData data) {
		Release command = new Release();
		command.amount = data.order;
		return send(command).to("participant-" + Service.name).build();
	}

	private CommandWithDestination approve(OrderData data) {
		Approve command = new Approve();
		command.order = data.order;
		return send(command).to("sql-participant").build();
	}

	private void create(OrderData data) {
		Service.say("saga created", data.order);
	}

	private void accept(OrderData data) {
		Service.say("saga accepted", data.order);
	}

	private void reject(OrderData data) {
		Service.say("saga rejected", data.order);
	}
}

@Configuration
@EnableAutoConfiguration
@Import({TramJdbcKafkaConfiguration.class, TramEventsPublisherConfiguration.class,
	TramEventSubscriberConfiguration.class, TramCommandProducerConfiguration.class,
	TramCommandConsumerConfiguration.class, SagaOrchestratorConfiguration.class,
	SagaParticipantConfiguration.class, Locking.class})
public class Service {
	static String name;

	static synchronized void say(Object... parts) {
		System.out.println("> " + IntStream.range(0, parts.length)
			.mapToObj(i -> String.valueOf(parts[i])).collect(Collectors.joining("|")));
	}

	@Bean
	public DomainEventDispatcher events(DomainEventDispatcherFactory factory) {
		return factory.make(name + "-events", DomainEventHandlersBuilder
			.forAggregateType("test.Order")
			.onEvent(OrderCreated.class, this::onOrderCreated)
			.build());
	}

	private void onOrderCreated(DomainEventEnvelope<OrderCreated> envelope) {
		say("event", envelope.getAggregateId(), envelope.getEvent().number, envelope.getEvent().note,
			envelope.getMessage().getHeader("trace").orElse(""));
	}

	@Bean
	public CommandDispatcher commands(CommandDispatcherFactory factory) {
		return factory.make(name + "-commands", CommandHandlersBuilder
			.fromChannel("commands-" + name)
			.resource("/customers/{customer}")
			.onMessage(Reserve.class, this::reserve)
			.build());
	}

	private Message reserve(CommandMessage<Reserve> message, PathVariables path) {
		Reserved reserved = new Reserved();
		reserved.amount = message.getCommand().amount;
		reserved.path = path.getString("customer");
		return reserved.amount > 1000 ? withFailure(reserved) : withSuccess(reserved);
	}

	@Bean
	public SagaCommandDispatcher participant(SagaCommandDispatcherFactory factory) {
		return factory.make(name + "-participant", SagaCommandHandlersBuilder
			.fromChannel("participant-" + name)
			.onMessage(Reserve.class, this::reserveForSaga)
			.onMessage(Release.class, this::releaseForSaga)
			.build());
	}

	private Message reserveForSaga(CommandMessage<Reserve> message) {
		say("saga reserve", message.getCommand().amount);
		return withSuccess();
	}

	private Message releaseForSaga(CommandMessage<Release> message) {
		say("saga release", message.getCommand().amount);
		return withSuccess();
	}

	@Bean
	public OrderSaga saga() {
		return new OrderSaga();
	}

	// Replies to commands, and plain messages
	private static void onMessage(Message message) {
		say(message.getHeader("reply_to_message_id").isPresent() ? "reply" : "message",
			message.getHeader("reply_to_message_id").orElse(message.getId()),
			message.getHeader("reply_outcome-type").orElse(""),
			message.getHeader("reply_type").orElse(""), message.getPayload());
	}

	// publish AGGREGATE FIRST COUNT: events, in one transaction
	private static void publish(ConfigurableApplicationContext context, String aggregate, int first, int count) {
		List<DomainEvent> events = IntStream.range(first, first + count).mapToObj(i -> {
			OrderCreated event = new OrderCreated();
			event.number = i;
			event.note = "é \"" + name + "\"";
			return event;
		}).collect(Collectors.toList());
		context.getBean(DomainEventPublisher.class).publish("test.Order", aggregate,
			Collections.singletonMap("trace", "t-" + first), events);
	}

	// command CHANNEL AMOUNT
	private static void command(ConfigurableApplicationContext context, String channel, int amount) {
		Reserve command = new Reserve();
		command.amount = amount;
		say("sent", context.getBean(CommandProducer.class).send(channel, "/customers/7", command,
			"replies-" + name, Collections.emptyMap()));
	}

	// message CHANNEL PAYLOAD
	private static void message(ConfigurableApplicationContext context, String channel, String payload) {
		Message message = MessageBuilder.withPayload(payload).build();
		context.getBean(MessageProducer.class).send(channel, message);
		say("sent", message.getId());
	}

	// saga ORDER
	private static void saga(ConfigurableApplicationContext context, int order) {
		OrderData data = new OrderData();
		data.order = order;
		context.getBean(SagaInstanceFactory.class).create(context.getBean(OrderSaga.class), data);
	}

	private static void obey(ConfigurableApplicationContext context, String[] words) {
		switch (words[0]) {
			case "publish":
				publish(context, words[1], Integer.parseInt(words[2]), Integer.parseInt(words[3]));
				break;
			case "command":
				command(context, words[1], Integer.parseInt(words[2]));
				break;
			case "message":
				message(context, words[1], words[2]);
				break;
			case "saga":
				saga(context, Integer.parseInt(words[1]));
				break;
			case "lock":
				LockingSaga.start(context, Integer.parseInt(words[1]));
				break;
			// What was done is undone.
			case "fail":
				publish(context, "failed", 0, 1);
				throw new IllegalStateException("as ordered");
			default:
				throw new IllegalArgumentException(words[0]);
		}
	}

	public static void main(String[] args) throws Exception {
		name = args[0];
		SpringApplication application = new SpringApplication(Service.class);
		Stream<String> properties = Stream.of(
			"--spring.datasource.url=" + args[1],
			"--spring.datasource.driver-class-name=org.postgresql.Driver",
			"--spring.datasource.hikari.maximum-pool-size=8",
			"--eventuatelocal.kafka.bootstrap.servers=" + args[2],
			"--spring.main.banner-mode=off",
			"--logging.level.root=WARN");
		ConfigurableApplicationContext context = application.run(
			Stream.concat(properties, Stream.of(args).skip(3)).toArray(String[]::new));
		context.getBean(MessageConsumer.class).subscribe(name + "-replies",
			Collections.singleton("replies-" + name), Service::onMessage);
		say("ready");

		BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
		for (String line; (line = in.readLine()) != null; ) {
			String[] words = line.split(" ", 4);
			try {
				context.getBean(TransactionTemplate.class).execute(status -> {
					obey(context, words);
					return null;
				});
			} catch (IllegalStateException e) {
				say("failed", e.getMessage());
			}
		}
		context.close();
	}
}
