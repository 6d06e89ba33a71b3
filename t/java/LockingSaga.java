// A saga that locks what it works on, with each participant in another way: one
// locks by its reply what it has just made, one does not begin before it has the
// lock, one is SQL and names what it has locked in its reply.  At its end the
// saga has all of them unlock.

package eventuate.test;

import static io.eventuate.tram.commands.consumer.CommandHandlerReplyBuilder.withSuccess;
import static io.eventuate.tram.commands.consumer.CommandWithDestinationBuilder.send;

import io.eventuate.tram.commands.common.Command;
import io.eventuate.tram.commands.consumer.CommandMessage;
import io.eventuate.tram.commands.consumer.CommandWithDestination;
// The two versions have SubscriberIdAndMessage in different packages.
import io.eventuate.tram.consumer.common.*;
import io.eventuate.tram.messaging.common.*;
import io.eventuate.tram.sagas.common.LockTarget;
import io.eventuate.tram.sagas.common.SagaLockManager;
import io.eventuate.tram.sagas.common.SagaUnlockCommand;
import io.eventuate.tram.sagas.common.StashMessageRequiredException;
import io.eventuate.tram.sagas.orchestration.SagaDefinition;
import io.eventuate.tram.sagas.orchestration.SagaInstanceFactory;
import io.eventuate.tram.sagas.participant.SagaCommandDispatcher;
import io.eventuate.tram.sagas.participant.SagaCommandDispatcherFactory;
import io.eventuate.tram.sagas.participant.SagaCommandHandlersBuilder;
import io.eventuate.tram.sagas.participant.SagaReplyMessageBuilder;
import io.eventuate.tram.sagas.simpledsl.SimpleSaga;
import org.springframework.context.ApplicationContext;
import org.springframework.context.annotation.Bean;
import org.springframework.context.annotation.Configuration;

abstract class OrderCommand implements Command {
	public int order;

	CommandWithDestination about(OrderData data, String channel) {
		order = data.order;
		return send(this).to(channel).build();
	}
}

class Open extends OrderCommand {
}

class Hold extends OrderCommand {
}

class Confirm extends OrderCommand {
}

class LockingSaga implements SimpleSaga<OrderData> {
	private final SagaDefinition<OrderData> definition =
		step()
			.invokeParticipant(data -> new Open().about(data, "locks-" + Service.name))
		.step()
			.invokeParticipant(data -> new Hold().about(data, "locks-" + Service.name))
		.step()
			.invokeParticipant(data -> new Confirm().about(data, "sql-locks"))
		.step()
			.invokeLocal(this::end)
		.build();

	@Override
	public SagaDefinition<OrderData> getSagaDefinition() {
		return definition;
	}

	@Override
	public String getSagaType() {
		return "LockingSaga-" + Service.name;
	}

	private void end(OrderData data) {
		Service.say("lock end", data.order);
	}

	static void start(ApplicationContext context, int order) {
		OrderData data = new OrderData();
		data.order = order;
		context.getBean(SagaInstanceFactory.class).create(context.getBean(LockingSaga.class), data);
	}
}

// As Tram means it to be: a command for what another saga has locked is stashed,
// and goes on when that is unlocked.  Tram's own dispatcher wraps the exception
// that says so in another one, which it does not know, and hands on the command
// to unlock instead of the stashed one.  This runs in the transaction of Tram's
// detection of duplicates, whose order is 200.
class Stash implements MessageHandlerDecorator {
	private final SagaLockManager locks;

	Stash(SagaLockManager locks) {
		this.locks = locks;
	}

	@Override
	public int getOrder() {
		return 250;
	}

	@Override
	public void accept(SubscriberIdAndMessage received, MessageHandlerDecoratorChain chain) {
		Message message = received.getMessage();
		String saga = message.getHeader("command_saga_id").orElse(null);

		if (message.getHeader("command_type").orElse("").equals(SagaUnlockCommand.class.getName())) {
			locks.unlock(saga, message.getRequiredHeader("command_resource")).ifPresent(stashed ->
				chain.invokeNext(new SubscriberIdAndMessage(received.getSubscriberId(), stashed)));
			return;
		}
		try {
			chain.invokeNext(received);
		} catch (UnsupportedOperationException e) {
			if (!(e.getCause() instanceof StashMessageRequiredException)) {
				throw e;
			}
			locks.stashMessage(message.getRequiredHeader("command_saga_type"), saga,
				((StashMessageRequiredException) e.getCause()).getTarget(), message);
		}
	}
}

@Configuration
class Locking {
	@Bean
	public LockingSaga lockingSaga() {
		return new LockingSaga();
	}

	@Bean
	public Stash stash(SagaLockManager locks) {
		return new Stash(locks);
	}

	// All sagas of a service want the same customer.
	@Bean
	public SagaCommandDispatcher lockingParticipant(SagaCommandDispatcherFactory factory) {
		return factory.make(Service.name + "-locks", SagaCommandHandlersBuilder
			.fromChannel("locks-" + Service.name)
			.onMessage(Open.class, this::open)
			.onMessage(Hold.class, this::hold)
			.withPreLock((message, path) -> new LockTarget("customer", Service.name))
			.build());
	}

	private Message open(CommandMessage<Open> message) {
		Service.say("lock open", message.getCommand().order);
		return SagaReplyMessageBuilder.withLock(OrderData.class,
			Service.name + "-" + message.getCommand().order).withSuccess();
	}

	private Message hold(CommandMessage<Hold> message) {
		Service.say("lock hold", message.getCommand().order);
		return withSuccess();
	}
}
